"""XMP in WebP: a chunk of its RIFF, after the picture, which VP8X has to announce."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from flowxfer.provenance.parts import Buffer, Found, Part, bounded

__all__ = ["embed", "find"]

_HEADER = 12  # RIFF, size, WEBP
_XMP_FLAG, _ALPHA_FLAG = 0x04, 0x10


def find(data: Buffer) -> Found:
    """Find the packet and the manifest.

    Raises:
        ValueError: the file is damaged.
    """
    chunks = list(bounded(_chunks(data)))
    xmp = next((_body(data, chunk) for chunk in chunks if chunk.kind == b"XMP "), None)
    return Found(xmp, any(chunk.kind == b"C2PA" for chunk in chunks))


def embed(data: bytes, packet: bytes) -> bytes:
    """Put a packet in, in the place of one that is there; the picture's chunks stay as they are.

    Raises:
        ValueError: the file is damaged.
    """
    chunks = list(bounded(_chunks(data)))
    kept = [data[chunk.begin : chunk.end] for chunk in chunks if chunk.kind not in (b"XMP ", b"VP8X")]
    body = b"".join([_announcement(data, chunks), *kept, _chunk(b"XMP ", packet)])
    riff = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP"
    return riff + body + data[8 + struct.unpack_from("<I", data, 4)[0] :]


def _chunks(data: Buffer) -> Iterator[Part]:
    (size,) = struct.unpack("<I", data[4:8])
    position, last = _HEADER, 8 + size
    if last > len(data):
        raise ValueError("it is cut short")
    while position < last:
        if position + 8 > last:
            raise ValueError(f"its chunk at byte {position} is cut short")
        kind, length = struct.unpack_from("<4sI", data, position)
        end = position + 8 + length + length % 2
        if end > last:
            raise ValueError(f"its chunk at byte {position} is cut short")
        yield Part(kind, position, end)
        position = end


def _body(data: Buffer, chunk: Part) -> bytes:
    (length,) = struct.unpack_from("<I", data, chunk.begin + 4)
    return data[chunk.begin + 8 : chunk.begin + 8 + length]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def _announcement(data: bytes, chunks: Sequence[Part]) -> bytes:
    """The VP8X chunk that says there is XMP: the one that is there, or one made from the picture's own header."""
    for chunk in chunks:
        body = _body(data, chunk)
        if chunk.kind == b"VP8X" and len(body) >= 10:
            return _chunk(b"VP8X", bytes([body[0] | _XMP_FLAG]) + body[1:])
        if chunk.kind == b"VP8L" and len(body) >= 5:
            bits = int.from_bytes(body[1:5], "little")
            flags = _XMP_FLAG | (_ALPHA_FLAG if bits >> 28 & 1 else 0)
            return _chunk(b"VP8X", _extended(flags, bits & 0x3FFF, bits >> 14 & 0x3FFF))
        if chunk.kind == b"VP8 " and len(body) >= 10:
            width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", body, 6))
            return _chunk(b"VP8X", _extended(_XMP_FLAG, width - 1, height - 1))
    raise ValueError("it holds no picture")


def _extended(flags: int, width_less_1: int, height_less_1: int) -> bytes:
    return bytes([flags, 0, 0, 0]) + width_less_1.to_bytes(3, "little") + height_less_1.to_bytes(3, "little")
