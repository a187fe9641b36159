"""A film's file, open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer

from flowxfer.errors import VideoError

__all__ = ["open_film"]


@contextmanager
def open_film(path: Path) -> Iterator[InputContainer]:
    """Open a film and close it again.

    Raises:
        VideoError: there is no such file, or no film in it.
    """
    try:
        # Playlists may name other files; a film that came from somewhere must not make us fetch things.
        # Absolute, for FFmpeg takes what stands before a colon for a protocol.
        container = av.open(os.path.abspath(path), "r", container_options={"protocol_whitelist": "file"})
    except (FileNotFoundError, IsADirectoryError):
        raise VideoError(f"expected a film at {path}, but there is no such file") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        what = "an empty file" if path.stat().st_size == 0 else "none, or one that is damaged or cut short"
        raise VideoError(f"expected a film in {path}, got {what} ({_reason(error)})") from error
    with container:
        yield container


def _reason(error: BaseException) -> str:
    """What an error of FFmpeg or of the system says."""
    return str(getattr(error, "strerror", None) or error)
