"""Protocol buffers are read as strictly as they are written: what other readers take otherwise is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowxfer.bundle.protobuf import Message, varint


def written(number):
    """As every writer writes it."""
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


@given(st.integers(0, 2**64 - 1))
def test_numbers_come_back(number):
    assert varint(memoryview(written(number)), 0) == (number, len(written(number)))


@given(st.integers(0, 2**63 - 1), st.integers(1, 9))
def test_a_longer_way_to_write_a_number_is_refused(number, zeros):
    short = written(number)
    padded = short[:-1] + bytes([short[-1] | 128]) + b"\x80" * (zeros - 1) + b"\0"
    with pytest.raises(ValueError, match="longer than"):
        varint(memoryview(padded), 0)


@pytest.mark.parametrize("number", [2**64, 2**70 - 1])
def test_bits_above_the_64th_are_refused(number):
    with pytest.raises(ValueError, match="longer than 64 bits"):
        varint(memoryview(written(number)), 0)


@given(st.integers(1, 2**29 - 1), st.integers(1, 31), st.sampled_from([0, 1, 2, 5]))
def test_a_tag_with_bits_above_the_32nd_is_refused(number, high, kind):
    rest = {0: b"\0", 1: bytes(8), 2: b"\0", 5: bytes(4)}[kind]
    assert Message(memoryview(written(number << 3 | kind) + rest)).numbers() == {number}
    with pytest.raises(ValueError, match="which is none"):
        Message(memoryview(written(number << 3 | kind | high << 32) + rest))


@pytest.mark.parametrize("tag", range(8))
def test_there_is_no_field_of_number_0(tag):
    with pytest.raises(ValueError, match="which is none"):
        Message(memoryview(bytes([tag]) + bytes(8)))


def test_fields_that_nobody_knows_or_that_are_there_twice():
    message = Message(memoryview(b"\x08\x01\x10\x02\x10\x03"))
    message.check(single={1}, repeated={2})
    with pytest.raises(ValueError, match="field 1 is not known here"):
        message.check(single=set(), repeated={2})
    with pytest.raises(ValueError, match="field 2 is there 2 times, and may be there once"):
        message.check(single={1, 2})


def test_a_number_that_others_would_cut_to_32_bits():
    assert Message(memoryview(b"\x08" + written(2**64 - 1))).int32(1) == -1
    with pytest.raises(ValueError, match="field 1 has more than 32 bits"):
        Message(memoryview(b"\x08" + written(2**32 + 1))).int32(1)


@pytest.mark.parametrize("read", ["views", "view", "text", "texts", "message", "messages", "integers", "integer"])
@pytest.mark.parametrize("kind", [1, 5])
def test_a_number_of_fixed_size_is_nothing_else(read, kind):
    """Other readers skip a field of another kind than they expect, and so see none where we would see text."""
    message = Message(memoryview(bytes([8 | kind]) + b"location"[: 8 if kind == 1 else 4]))
    with pytest.raises(ValueError, match="field 1 is (a number|not an integer)"):
        getattr(message, read)(1)


@pytest.mark.parametrize("read", ["fixed32", "views", "fixed"])
def test_an_integer_is_nothing_else(read):
    with pytest.raises(ValueError, match="field 1 is (not of four bytes|a number|an integer)"):
        getattr(Message(memoryview(b"\x08\x01")), read)(1)


def test_text_is_no_number_of_fixed_size():
    with pytest.raises(ValueError, match="field 1 is not of four bytes"):
        Message(memoryview(b"\x0a\x04abcd")).fixed32(1)
