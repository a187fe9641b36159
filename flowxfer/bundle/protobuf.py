"""Reads protocol buffers: as much of the wire format as a few known messages need, and as strictly as it is written.

The format is https://protobuf.dev/programming-guides/encoding. Values stay views of the file, so a damaged length can
only point outside the file, which is an error, and never asks for memory. What a writer never writes is refused, for
readers differ in what they make of it: a number that is longer than it must be, or a tag above 32 bits, of which some
readers drop the upper ones and so see a field that others do not.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Set

__all__ = ["Message", "varint"]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_LARGEST_TAG = 2**32 - 1


def varint(data: memoryview, position: int) -> tuple[int, int]:
    """The unsigned 64-bit number at ``position``, and the position behind it.

    Raises:
        ValueError: the data ends inside the number, it has more than 64 bits, or it is written longer than it must be.
    """
    value = 0
    for count in range(10):
        if position + count >= len(data):
            raise ValueError("the data ends inside a number")
        byte = data[position + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            if count and not byte:
                raise ValueError("a number is written longer than it must be")
            if value >= 2**64:
                break
            return value, position + count + 1
    raise ValueError("a number is longer than 64 bits")


class Message:
    """One protocol buffer message, its fields by number.

    Raises:
        ValueError: the bytes are no message; so do the accessors where a field has another type than they ask for.
    """

    def __init__(self, data: memoryview) -> None:
        # Numbers of fixed size are bytes, what says its length is a view: readers skip a field of the other kind.
        self._fields: defaultdict[int, list[int | bytes | memoryview]] = defaultdict(list)
        position = 0
        while position < len(data):
            key, position = varint(data, position)
            if not 8 <= key <= _LARGEST_TAG:
                raise ValueError(f"a field has the tag {key}, which is none")
            kind = key & 7
            if kind == _VARINT:
                value, position = varint(data, position)
                self._fields[key >> 3].append(value)
                continue
            if kind == _LENGTH:
                size, position = varint(data, position)
            elif kind in _FIXED_SIZES:
                size = _FIXED_SIZES[kind]
            else:
                raise ValueError(f"a field has the wire type {kind}")
            if size > len(data) - position:
                raise ValueError("the data ends inside a field")
            part = data[position : position + size]
            self._fields[key >> 3].append(part if kind == _LENGTH else bytes(part))
            position += size

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def numbers(self) -> set[int]:
        """The numbers of the fields that are there."""
        return set(self._fields)

    def check(self, *, single: Set[int], repeated: Set[int] = frozenset()) -> None:
        """Refuse what a reader of these fields alone would overlook.

        Args:
            single: numbers of the fields that may be there once. Of several, readers take the last, or join them.
            repeated: numbers of those that may be there any number of times.

        Raises:
            ValueError: another field is there, or a single one more than once.
        """
        for number, values in self._fields.items():
            if number not in single | repeated:
                raise ValueError(f"field {number} is not known here")
            if len(values) > 1 and number not in repeated:
                raise ValueError(f"field {number} is there {len(values)} times, and may be there once")

    def int32(self, number: int) -> int:
        """A signed integer or enum of 32 bits, of which some readers take no more; 0 where it is absent."""
        value = self.integer(number)
        if not -(2**31) <= value < 2**31:
            raise ValueError(f"field {number} has more than 32 bits")
        return value

    def integer(self, number: int) -> int:
        """A signed integer or enum; 0 where it is absent."""
        value = self._fields[number][-1] if number in self else 0
        if not isinstance(value, int):
            raise ValueError(f"field {number} is not an integer")
        return value - 2**64 if value >= 2**63 else value

    def integers(self, number: int) -> list[int]:
        """Every value of a repeated field of unsigned integers, packed or not."""
        integers = []
        for value in self._fields[number] if number in self else []:
            if isinstance(value, int):
                integers.append(value)
                continue
            if isinstance(value, bytes):
                raise ValueError(f"field {number} is not an integer")
            position = 0
            while position < len(value):
                integer, position = varint(value, position)
                integers.append(integer)
        return integers

    def views(self, number: int) -> list[memoryview]:
        """Every value of a field of bytes, text or messages."""
        values = self._fields[number] if number in self else []
        views = [value for value in values if isinstance(value, memoryview)]
        if len(views) < len(values):
            raise ValueError(f"field {number} is a number")
        return views

    def fixed(self, number: int) -> list[bytes | memoryview]:
        """Every part of a repeated field of numbers of fixed size: one of them, or many that are packed."""
        values = self._fields[number] if number in self else []
        parts = [value for value in values if not isinstance(value, int)]
        if len(parts) < len(values):
            raise ValueError(f"field {number} is an integer")
        return parts

    def view(self, number: int) -> memoryview:
        """The bytes of a field; empty where it is absent."""
        return views[-1] if (views := self.views(number)) else memoryview(b"")

    def text(self, number: int) -> str:
        """A field of UTF-8 text."""
        return str(self.view(number), "utf-8")

    def texts(self, number: int) -> tuple[str, ...]:
        """Every value of a repeated field of UTF-8 text."""
        return tuple(str(view, "utf-8") for view in self.views(number))

    def fixed32(self, number: int) -> int:
        """A field of four bytes, as an unsigned integer; 0 where it is absent."""
        if number not in self:
            return 0
        value = self._fields[number][-1]
        if not isinstance(value, bytes) or len(value) != 4:
            raise ValueError(f"field {number} is not of four bytes")
        return int(struct.unpack("<I", value)[0])

    def message(self, number: int) -> Message:
        """A message in a field; an empty one where it is absent."""
        return Message(self.view(number))

    def messages(self, number: int) -> list[Message]:
        """The messages in a repeated field."""
        return [Message(view) for view in self.views(number)]
