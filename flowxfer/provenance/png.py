"""XMP in PNG: an iTXt chunk, as XMP specification part 3 has it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from flowxfer.provenance.parts import Buffer, Found, Part, bounded
from flowxfer.provenance.xmp import LIMIT

__all__ = ["embed", "find"]

_SIGNATURE = 8
_KEYWORD = b"XML:com.adobe.xmp\0"


def find(data: Buffer) -> Found:
    """Find the packet and the manifest.

    Raises:
        ValueError: the file is damaged.
    """
    chunks = list(bounded(_chunks(data)))
    xmp = next((_packet(data, chunk) for chunk in chunks if _is_xmp(data, chunk)), None)
    return Found(xmp, any(chunk.kind == b"caBX" for chunk in chunks))


def embed(data: bytes, packet: bytes) -> bytes:
    """Put a packet in, in the place of one that is there; every other chunk stays as it is.

    Raises:
        ValueError: the file is damaged.
    """
    header, *chunks = bounded(_chunks(data))
    body = b"iTXt" + _KEYWORD + bytes(4) + packet  # not compressed, no language, no translated keyword
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    kept = [data[chunk.begin : chunk.end] for chunk in chunks if not _is_xmp(data, chunk)]
    return b"".join([data[: header.end], chunk, *kept, data[chunks[-1].end :]])


def _chunks(data: Buffer) -> Iterator[Part]:
    position, kind = _SIGNATURE, b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise ValueError("it ends before its last chunk")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data) or (position == _SIGNATURE) != (kind == b"IHDR"):
            raise ValueError(f"its chunk at byte {position} is cut short or out of place")
        yield Part(kind, position, end)
        position = end


def _is_xmp(data: Buffer, chunk: Part) -> bool:
    return chunk.kind == b"iTXt" and data[chunk.begin + 8 : chunk.begin + 8 + len(_KEYWORD)] == _KEYWORD


def _packet(data: Buffer, chunk: Part) -> bytes:
    if chunk.end - chunk.begin > LIMIT + 1024:
        raise ValueError(f"its XMP has more than {LIMIT:,} bytes")
    body = data[chunk.begin + 8 + len(_KEYWORD) : chunk.end - 4]
    texts = body[2:].split(b"\0", 2)  # after two flags: the language, the translated keyword, the text
    if len(texts) != 3:
        raise ValueError("its XMP chunk is cut short")
    if body[0] == 0:
        return texts[2]
    try:
        return zlib.decompressobj().decompress(texts[2], LIMIT + 1)  # whatever it would grow to
    except zlib.error as error:
        raise ValueError(f"its XMP chunk cannot be unpacked: {error}") from error
