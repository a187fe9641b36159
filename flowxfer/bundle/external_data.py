"""Which files an ONNX graph reads beside itself, without the onnx package.

A graph may name any file as the external data of a tensor, so a bundle from elsewhere is searched for such names
before ONNX Runtime sees it, along those fields of onnx.proto3 under which a TensorProto can stand.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowxfer.bundle.protobuf import Message

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
    return set(_walk(Message(memoryview(model)), "Model", 0))


def _walk(message: Message, kind: str, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise ValueError(f"messages nest deeper than {_MAX_DEPTH}")
    if kind == "Entry":
        key, value = message.text(1), message.text(2)
        if key == "location":
            yield value
        return
    for number, child in _MESSAGES[kind].items():
        for part in message.messages(number):
            yield from _walk(part, child, depth + 1)
