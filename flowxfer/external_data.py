"""Which files an ONNX graph reads beside itself, without the onnx package.

A graph may name any file as the external data of a tensor, so a bundle from elsewhere is searched for such names
before ONNX Runtime sees it. This walks protobuf's wire format (https://protobuf.dev/programming-guides/encoding) along
those fields of onnx.proto3 under which a TensorProto can stand.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["external_locations"]

# message: {field number: message of the field}
_MESSAGES = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
}
_MAX_DEPTH = 32


def external_locations(model: bytes) -> set[str]:
    """The ``location`` of every external tensor in a serialised ModelProto.

    Raises:
        ValueError: the bytes are not a well-formed message, or nest deeper than any graph of ours.
    """
    return set(_walk(memoryview(model), "Model", 0))


def _walk(message: memoryview, kind: str, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise ValueError(f"messages nest deeper than {_MAX_DEPTH}")
    for number, value in _fields(message):
        child = _MESSAGES[kind].get(number)
        if child is None or value is None:
            continue
        if child == "Entry":
            entry = dict(_fields(value))
            if bytes(entry.get(1) or b"") == b"location":
                yield bytes(entry.get(2) or b"").decode("utf-8", "replace")
        else:
            yield from _walk(value, child, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Number and content of each field; the content is None where it is a number."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        wire_type, content = tag & 7, None
        if wire_type == 0:
            _, position = _varint(message, position)
        elif wire_type in (1, 5):
            position += 8 if wire_type == 1 else 4
        elif wire_type == 2:
            length, start = _varint(message, position)
            position = start + length
            content = message[start:position]
        else:
            raise ValueError(f"wire type {wire_type} at byte {position}")
        if position > len(message):
            raise ValueError("a field is longer than its message")
        yield tag >> 3, content


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise ValueError("the message ends inside a number")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number is longer than 64 bits")
