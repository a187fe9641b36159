"""What the readers of file formats share."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

__all__ = ["PARTS", "Buffer", "Found", "Part", "bounded"]

Buffer: TypeAlias = "bytes | mmap.mmap"
"""A file's bytes, or the file mapped into memory."""

PARTS = 200_000
"""Parts that a file may have: a gigabyte of empty ones would take minutes."""


class Part(NamedTuple):
    """One piece of a file, header and all: ``data[begin:end]``."""

    kind: bytes
    begin: int
    end: int


class Found(NamedTuple):
    """What a file carries: an XMP packet, and whether there is a C2PA manifest."""

    xmp: bytes | None = None
    manifest: bool = False


def bounded(parts: Iterable[Part]) -> Iterator[Part]:
    """Pass parts on.

    Raises:
        ValueError: there are more than :data:`PARTS`.
    """
    for count, part in enumerate(parts):
        if count >= PARTS:
            raise ValueError(f"it has more than {PARTS:,} parts")
        yield part
