"""Reads LevelDB's sorted tables, which TensorFlow's checkpoint indices are.

The format is https://github.com/google/leveldb/blob/main/doc/table_format.md: data blocks of prefix-compressed entries,
a block that lists them, and a footer that points to the list. Each block carries a masked CRC-32C.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import ModuleType

from flowxfer.bundle.protobuf import varint
from flowxfer.errors import unimportable

__all__ = ["MAGIC", "crc32c", "entries"]

MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER = 48
_TRAILER = 5  # a byte that names the compression, then the checksum
_LONGEST_KEY = 256  # bytes; a key may repeat the one before it, so without a limit a small file could fill the memory
_COMPRESSIONS = {1: "Snappy", 2: "Zstandard"}


def _library() -> ModuleType:
    try:
        import google_crc32c
    except ImportError as error:
        raise unimportable(error, "google-crc32c", "import", "Reading a TensorFlow checkpoint") from error
    return google_crc32c


def crc32c(data: memoryview) -> int:
    """LevelDB's masked CRC-32C.

    Raises:
        MissingExtraError: google-crc32c is not installed.
    """
    crc = int(_library().value(bytes(data)))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFF_FFFF


def entries(table: memoryview) -> Iterator[tuple[str, memoryview]]:
    """The keys and values of a table, in its order.

    Raises:
        ValueError: the table is truncated, damaged or compressed.
        MissingExtraError: google-crc32c is not installed.
    """
    if len(table) < _FOOTER or table[-len(MAGIC) :] != MAGIC:
        raise ValueError("it does not end in a table's footer; it is truncated or another kind of file")
    footer = table[-_FOOTER:]
    _, position = _handle(footer, 0)
    index, _ = _handle(footer, position)
    end = 0
    for _, value in _block(table, index):
        handle, _ = _handle(value, 0)
        if handle[0] < end:
            raise ValueError("two blocks overlap")
        end = sum(handle)
        for key, content in _block(table, handle):
            yield str(key, "utf-8"), content


def _handle(data: memoryview, position: int) -> tuple[tuple[int, int], int]:
    """A block's (offset, size), and the position behind it."""
    offset, position = varint(data, position)
    size, position = varint(data, position)
    return (offset, size), position


def _block(table: memoryview, handle: tuple[int, int]) -> Iterator[tuple[bytes, memoryview]]:
    offset, size = handle
    if offset + size + _TRAILER > len(table) - _FOOTER or size < 4:
        raise ValueError("a block lies outside the file")
    compression = table[offset + size]
    if compression:
        name = _COMPRESSIONS.get(compression, f"type {compression}")
        raise ValueError(f"its blocks are compressed ({name}); save the checkpoint again with TensorFlow's Saver")
    (checksum,) = struct.unpack_from("<I", table, offset + size + 1)
    if crc32c(table[offset : offset + size + 1]) != checksum:
        raise ValueError("a block does not match its checksum; the file is damaged")
    yield from _block_entries(table[offset : offset + size])


def _block_entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    (restarts,) = struct.unpack_from("<I", block, len(block) - 4)
    end = len(block) - 4 * (restarts + 1)
    key, position = b"", 0
    while position < end:
        shared, position = varint(block, position)
        added, position = varint(block, position)
        size, position = varint(block, position)
        if shared > len(key) or position + added + size > end:
            raise ValueError("an entry lies outside its block")
        if shared + added > _LONGEST_KEY:
            raise ValueError(f"a name has more than {_LONGEST_KEY} bytes")
        key = key[:shared] + bytes(block[position : position + added])
        position += added
        yield key, block[position : position + size]
        position += size
    if position != end:
        raise ValueError("a block's entries do not end where they should")
