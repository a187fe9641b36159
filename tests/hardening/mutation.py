"""Damages files: bytes of any format, and JSON by its values."""

from __future__ import annotations

import copy
import json
import struct
import zlib
from collections.abc import Sequence
from random import Random
from typing import Any

# Where sizes, counts and offsets are read as numbers of one of these kinds, these are what breaks them.
_EDGES = (0, 1, -1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63)
_WIDTHS = (1, 2, 4, 8)
_DIGITS = (b"0", b"-1", b"1e999", b"nan", b"99999999999999999999", b"0x10", b"", b"\xff", b"\0", b"\n", b'"', b",")
HOSTILE: tuple[Any, ...] = (
    None, True, 0, -1, 60, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), "", "a" * 2000, "../x",
    "/etc/passwd", "\ud800", "\0", [], {}, [[]], [[[0]]], {"a": {}}, [-1, 2, 2], [3, 2**31, 2**31],
)  # fmt: skip


def mutated(seeds: Sequence[bytes], random: Random) -> bytes:
    """One of the seeds with one to four injuries; now and then nothing but noise behind its first bytes."""
    data = random.choice(seeds)
    if random.random() < 0.02:
        return data[: random.randrange(17)] + random.randbytes(random.randrange(200))
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        data = random.choice(_INJURIES)(data, seeds, random)
    return data


def _place(data: bytes, random: Random) -> int:
    """Anywhere, but mostly near the start or the end, where formats keep their headers and indices."""
    near = random.randrange(min(len(data), 64) + 1)
    return random.choice((near, len(data) - near, random.randrange(len(data) + 1), random.randrange(len(data) + 1)))


def _flipped(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 8))):
        if at := min(_place(data, random), len(out) - 1) + 1:
            out[at - 1] ^= 1 << random.randrange(8)
    return bytes(out)


def _cut(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    return data[: _place(data, random)]


def _noise(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    at, size = _place(data, random), random.randrange(1, 17)
    return data[:at] + random.randbytes(size) + data[at + random.choice((0, size)) :]


def _removed(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + data[at + random.randrange(1, 65) :]


def _repeated(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    begin, end = sorted((_place(data, random), _place(data, random)))
    chunk = data[begin : min(end, begin + 4096)]
    at = random.choice((end, _place(data, random)))
    return data[:at] + chunk * random.choice((1, 1, 2, 8)) + data[at:]


def _spliced(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    other = random.choice(seeds)
    return data[: _place(data, random)] + other[_place(other, random) :]


def _number(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    """Another length, count or offset: an edge of its type, or a little more or less than was there."""
    at, width = _place(data, random), random.choice(_WIDTHS)
    order = random.choice(("little", "big"))
    was = int.from_bytes(data[at : at + width], order)
    value = random.choice((*_EDGES, was + 1, was - 1, was * 2, len(data)))
    return data[:at] + (value % 2 ** (8 * width)).to_bytes(width, order) + data[at + width :]


def _written_number(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    """What stands for a number, a quote or a comma in text."""
    at = _place(data, random)
    return data[:at] + random.choice(_DIGITS) + data[at + random.randrange(4) :]


_INJURIES = (_flipped, _cut, _noise, _removed, _repeated, _spliced, _number, _number, _written_number)


def mutated_json(values: Any, random: Random) -> bytes:
    """JSON whose values, somewhere in the tree, are hostile; now and then nested a hundred thousand deep."""
    if random.random() < 0.01:
        return b"[" * 100_000
    values = json.loads(json.dumps(values))
    for _ in range(random.choice((1, 1, 2, 3))):
        _injure(values, random)
    return json.dumps(values).encode("utf-8")


def _injure(values: Any, random: Random) -> None:
    keys = list(values) if isinstance(values, dict) else list(range(len(values)))
    if not keys:
        return
    key = random.choice(keys)
    if isinstance(values[key], (dict, list)) and values[key] and random.random() < 0.7:
        _injure(values[key], random)
    elif random.random() < 0.1:
        del values[key]
    elif random.random() < 0.1 and isinstance(values, dict):
        values[str(random.choice(HOSTILE))] = values[key]
    else:
        values[key] = copy.deepcopy(random.choice(HOSTILE))


def with_checksums(png: bytes) -> bytes:
    """A PNG whose chunks' checksums are right again, so that a damaged chunk is not refused for its checksum."""
    out, at = png[:8], 8
    while at + 12 <= len(png):
        (size,) = struct.unpack_from(">I", png, at)
        body = png[at + 4 : at + 8 + size]
        out += struct.pack(">I", size) + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + size
    return out + png[at:]
