"""Which file formats carry a mark, and which module reads and writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flowxfer.provenance import gif, jpeg, matroska, mp4, png, webp
from flowxfer.provenance.parts import Buffer, Found
from flowxfer.provenance.xmp import LIMIT

__all__ = ["MATROSKA", "MOV", "MP4", "Format", "recognise"]


@dataclass(frozen=True)
class Format:
    """A file format.

    Args:
        name: what people call it.
        mime: its MIME type, by which C2PA knows it.
        find: finds what a file carries.
        embed: puts an XMP packet into a picture; None for films and for what is only read.
    """

    name: str
    mime: str
    find: Callable[[Buffer], Found]
    embed: Callable[[bytes, bytes], bytes] | None = None


def recognise(data: Buffer) -> Format:
    """Tell a file's format from its first bytes."""
    head = data[:16]
    for begin, magic, format_ in _FORMATS:
        if head[begin : begin + len(magic)] == magic:
            return format_
    return _OTHER


def _scan(data: Buffer) -> Found:
    """Find a packet by the names at its ends, wherever it lies."""
    begin = data.find(b"<x:xmpmeta")
    end = data.find(_LAST, begin, begin + LIMIT) if begin >= 0 else -1
    return Found(data[begin : end + len(_LAST)] if end >= 0 else None)


def _scan_boxes(data: Buffer) -> Found:
    """The same for pictures that are built like MP4: what they call items would take a reader of its own."""
    return Found(_scan(data).xmp, mp4.find(data).manifest)


_LAST = b"</x:xmpmeta>"
MP4 = Format("MP4", "video/mp4", mp4.find)
MOV = Format("MOV", "video/quicktime", mp4.find)
MATROSKA = Format("Matroska", "video/x-matroska", matroska.find)
_OTHER = Format("another", "application/octet-stream", _scan)
_FORMATS = (
    (0, b"\x89PNG\r\n\x1a\n", Format("PNG", "image/png", png.find, png.embed)),
    (0, b"\xff\xd8\xff", Format("JPEG", "image/jpeg", jpeg.find, jpeg.embed)),
    (8, b"WEBP", Format("WebP", "image/webp", webp.find, webp.embed)),
    (0, b"GIF8", Format("GIF", "image/gif", gif.find, gif.embed)),
    (4, b"ftypavif", Format("AVIF", "image/avif", _scan_boxes)),
    (4, b"ftyphei", Format("HEIF", "image/heif", _scan_boxes)),
    (4, b"ftypmif1", Format("HEIF", "image/heif", _scan_boxes)),
    (4, b"ftypqt  ", MOV),
    (4, b"ftyp", MP4),
    (0, b"\x1a\x45\xdf\xa3", MATROSKA),
)
