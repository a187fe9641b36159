"""XMP in JPEG: an APP1 segment, as XMP specification part 3 has it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from flowxfer.provenance.parts import Buffer, Found, Part, bounded

__all__ = ["embed", "find"]

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MOST = 0xFFFF - 2 - len(_XMP)  # a segment's length counts itself
_APP0, _APP1, _APP11, _SCAN, _END = b"\xff\xe0", b"\xff\xe1", b"\xff\xeb", b"\xff\xda", b"\xff\xd9"


def find(data: Buffer) -> Found:
    """Find the packet and the manifest.

    Raises:
        ValueError: the file is damaged.
    """
    segments = list(bounded(_segments(data)))
    xmp = next((data[s.begin + 4 + len(_XMP) : s.end] for s in segments if _is_xmp(data, s)), None)
    return Found(xmp, any(s.kind == _APP11 and b"c2pa" in data[s.begin : min(s.end, s.begin + 64)] for s in segments))


def embed(data: bytes, packet: bytes) -> bytes:
    """Put a packet in, in the place of one that is there; every other byte stays as it is.

    Raises:
        ValueError: the file is damaged, or the packet is more than a segment holds.
    """
    if len(packet) > _MOST:
        raise ValueError(f"its XMP would have {len(packet):,} bytes, and JPEG holds {_MOST:,}")
    segments = list(bounded(_segments(data)))
    # Behind JFIF and EXIF, which some readers want at the very beginning.
    first = next((s.begin for s in segments if s.kind not in (_APP0, _APP1) or _is_xmp(data, s)), 2)
    packets = [s for s in segments if _is_xmp(data, s)]
    segment = _APP1 + struct.pack(">H", 2 + len(_XMP) + len(packet)) + _XMP + packet
    kept = [data[s.begin : s.end] for s in segments if s.begin >= first and s not in packets]
    return b"".join([data[:first], segment, *kept])


def _segments(data: Buffer) -> Iterator[Part]:
    """The segments before the picture itself, and that with all the rest as the last."""
    position = 2
    while True:
        kind = data[position : position + 2]
        if kind in (_SCAN, _END):
            yield Part(kind, position, len(data))
            return
        if len(kind) < 2 or kind[0] != 0xFF or position + 4 > len(data):
            raise ValueError(f"it has no segment at byte {position}")
        if kind[1] == 0xFF:  # a filler
            yield Part(b"\xff", position, position + 1)
            position += 1
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        end = position + 2 + length
        if length < 2 or end > len(data):
            raise ValueError(f"its segment at byte {position} is cut short")
        yield Part(kind, position, end)
        position = end


def _is_xmp(data: Buffer, segment: Part) -> bool:
    return segment.kind == _APP1 and data[segment.begin + 4 : segment.begin + 4 + len(_XMP)] == _XMP
