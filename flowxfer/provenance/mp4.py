"""XMP in MP4 and MOV: a uuid box at the end of the file, as XMP specification part 3 has it for MPEG-4.

Nothing before the end moves, so the offsets by which the film finds its frames stay right.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from flowxfer.provenance.parts import Buffer, Found, Part, bounded
from flowxfer.provenance.xmp import LIMIT

__all__ = ["embed", "find"]

_XMP = b"uuid" + bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
_MANIFEST = b"uuid" + bytes.fromhex("D8FEC3D61B0E483C92975828877EC481")


def find(data: Buffer) -> Found:
    """Find the packet, also where QuickTime films have it, and the manifest.

    Raises:
        ValueError: the file is damaged.
    """
    boxes = list(bounded(_boxes(data, 0, len(data))))
    packets = _packets(data, boxes)
    xmp = [data[box.begin + (24 if box.kind == b"uuid" else 8) : box.end] for box in packets[:1]]
    return Found(xmp[0] if xmp else None, any(_starts(data, box, _MANIFEST) for box in boxes))


def embed(path: Path, packet: bytes) -> None:
    """Put a packet in, in the place of one that is there; the film stays as it is.

    The file is changed where it lies: a crash on the way leaves it damaged at the end.

    Raises:
        ValueError: the file is damaged, or its last box has no end and no room for one.
    """
    with path.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            boxes = list(bounded(_boxes(data, 0, len(data))))
            old, end, last = _packets(data, boxes), len(data), boxes[-1]
            to_the_end = struct.unpack_from(">I", data, last.begin)[0] == 0
        if last in old:
            end = last.begin
        elif to_the_end:
            if end - last.begin > 0xFFFFFFFF:
                raise ValueError("its last box has no size, and is too large to be given one")
            file.seek(last.begin)
            file.write(struct.pack(">I", end - last.begin))
        for box in old:
            file.seek(box.begin + 4)
            file.write(b"free")  # what readers pass over
        file.truncate(end)
        file.seek(end)
        file.write(struct.pack(">I", 4 + len(_XMP) + len(packet)) + _XMP + packet)


def _boxes(data: Buffer, begin: int, last: int) -> Iterator[Part]:
    position = begin
    while position < last:
        if position + 8 > last:
            if begin:
                return  # QuickTime's user data end with four zeros
            raise ValueError(f"its box at byte {position} is cut short")
        size, kind = struct.unpack_from(">I4s", data, position)
        least = 8
        if size == 0:
            size = last - position
        elif size == 1 and position + 16 <= last:
            (size,), least = struct.unpack_from(">Q", data, position + 8), 16
        if size < least or position + size > last:
            raise ValueError(f"its box at byte {position} is cut short")
        yield Part(kind, position, position + size)
        position += size


def _starts(data: Buffer, box: Part, header: bytes) -> bool:
    return data[box.begin + 4 : box.begin + 4 + len(header)] == header


def _packets(data: Buffer, boxes: list[Part]) -> list[Part]:
    """The boxes that hold XMP: MPEG-4's, and QuickTime's in moov/udta."""
    inside = [box for box in boxes if box.kind == b"moov"]
    for kind in (b"udta", b"XMP_"):
        children = (child for box in inside for child in _boxes(data, box.begin + 8, box.end))
        inside = [child for child in bounded(children) if child.kind == kind]
    found = [box for box in boxes if _starts(data, box, _XMP)] + inside
    if any(box.end - box.begin > LIMIT for box in found):
        raise ValueError(f"its XMP has more than {LIMIT:,} bytes")
    return found
