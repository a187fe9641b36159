"""XMP in GIF: an application extension whose body is the packet itself, as XMP specification part 3 has it.

The packet is not cut into sub-blocks. A reader of sub-blocks takes its bytes for lengths, jumps about in it, and lands
in the trailer of 0x01, 0xFF, 0xFE, … 0x00, each byte of which leads to the end.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowxfer.provenance.parts import Buffer, Found, Part

__all__ = ["embed", "find"]

_XMP = b"\x21\xff\x0bXMP DataXMP"
_MANIFEST = b"\x21\xff\x0bC2PA_GIF"
_TRAILER = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
_SUB_BLOCKS = 2_000_000  # half a gigabyte of full ones
_IMAGE, _EXTENSION, _END = b"\x2c", b"\x21", b"\x3b"


def find(data: Buffer) -> Found:
    """Find the packet and the manifest.

    Raises:
        ValueError: the file is damaged.
    """
    blocks = list(_blocks(data))
    packets = [data[b.begin + len(_XMP) : b.end - len(_TRAILER)] for b in blocks if _starts(data, b, _XMP)]
    return Found(packets[0] if packets else None, any(_starts(data, block, _MANIFEST) for block in blocks))


def embed(data: bytes, packet: bytes) -> bytes:
    """Put a packet in, in the place of one that is there; every other block stays as it is.

    Raises:
        ValueError: the file is damaged.
    """
    blocks = list(_blocks(data))
    kept = [data[block.begin : block.end] for block in blocks if not _starts(data, block, _XMP)]
    start = blocks[0].begin
    return b"".join([b"GIF89a", data[6:start], *kept[:-1], _XMP, packet, _TRAILER, kept[-1]])  # 87a has no extensions


def _starts(data: Buffer, block: Part, header: bytes) -> bool:
    return data[block.begin : block.begin + len(header)] == header


def _blocks(data: Buffer) -> Iterator[Part]:
    """The blocks after the global palette; the last is the end and whatever follows it."""
    if len(data) < 13:
        raise ValueError("its header is cut short")
    position, budget = 13 + _palette(data[10]), iter(range(_SUB_BLOCKS))
    while True:
        kind = data[position : position + 1]
        if kind == _END:
            yield Part(kind, position, len(data))
            return
        if kind == _EXTENSION:
            end = _skip(data, position + 2, budget)
        elif kind == _IMAGE and position + 10 <= len(data):
            end = _skip(data, position + 10 + _palette(data[position + 9]) + 1, budget)
        else:
            raise ValueError(f"it has no block at byte {position}")
        yield Part(kind, position, end)
        position = end


def _palette(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip(data: Buffer, position: int, budget: Iterator[int]) -> int:
    """Where the sub-blocks that begin at a position have their end."""
    for _ in budget:
        if position >= len(data):
            raise ValueError("it ends within a block")
        length = data[position]
        position += 1 + length
        if length == 0:
            return position
    raise ValueError(f"it has more than {_SUB_BLOCKS:,} parts")
