"""The suffixes of films: those that are read from a folder, and those that can be written."""

from __future__ import annotations

__all__ = ["MP4", "READ", "WRITTEN"]

MP4 = (".mp4", ".m4v", ".mov")
"""Containers of the MP4 family."""

WRITTEN = (*MP4, ".mkv", ".webm")
"""Containers that a film can be written to."""

READ = (*WRITTEN, ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".ts", ".mts")
"""What counts as a film in a folder."""
