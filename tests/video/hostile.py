"""Films that nobody would make but to do harm, byte by byte."""

from __future__ import annotations

import struct


def box(kind, *parts):
    """A part of an MP4."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def _full(kind, *parts, flags=0):
    return box(kind, struct.pack(">I", flags), *parts)


_MATRIX = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def mp4(samples, *, size=(64, 64), tracks=1, chunks=1, codec=b"mp4v", reference=b""):
    """An MP4 of a few hundred bytes whose tables say that it has so many samples.

    Args:
        samples: of each track, of one byte each, one behind the other in a chunk.
        size: width and height in pixels, as the header says.
        tracks: of video.
        chunks: of each track, all of them in the same place.
        codec: the four letters of one.
        reference: where the media lie, a whole box; by default in this file.
    """
    boxes = [_track(samples, size, chunks, codec, reference) for _ in range(tracks)]
    header = struct.pack(">IIIIIH", 0, 0, 1000, 1000, 1 << 16, 256) + bytes(10) + _MATRIX + bytes(24)
    moov = box(b"moov", _full(b"mvhd", header, struct.pack(">I", 2)), *boxes)
    return box(b"ftyp", b"isom" + bytes(4) + b"isom") + moov + box(b"mdat", bytes(64))


def _track(samples, size, chunks, codec, reference):
    width, height = size
    entry = bytes(6) + struct.pack(">H", 1) + bytes(16) + struct.pack(">HH", width, height)
    entry += struct.pack(">IIIH", 72 << 16, 72 << 16, 0, 1) + bytes(32) + struct.pack(">Hh", 24, -1)
    tables = box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), box(codec, entry)),
        _full(b"stts", struct.pack(">III", 1, samples, 1)),
        _full(b"stsc", struct.pack(">IIII", 1, 1, samples // chunks, 1)),
        _full(b"stsz", struct.pack(">II", 1, samples)),
        _full(b"stco", struct.pack(">I", chunks), struct.pack(">I", 100) * chunks),
    )
    where = box(b"dinf", _full(b"dref", struct.pack(">I", 1), reference or _full(b"url ", flags=1)))
    media = box(
        b"mdia",
        _full(b"mdhd", struct.pack(">IIIIHH", 0, 0, 25, samples, 0x55C4, 0)),
        _full(b"hdlr", bytes(4) + b"vide" + bytes(13)),
        box(b"minf", _full(b"vmhd", bytes(8), flags=1), where, tables),
    )
    shown = struct.pack(">IIIII", 0, 0, 1, 0, samples) + bytes(16) + _MATRIX + struct.pack(">II", *size)
    return box(b"trak", _full(b"tkhd", shown, flags=3), media)
