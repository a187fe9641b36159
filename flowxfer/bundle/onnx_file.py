"""ONNX graphs, read without the onnx package, and only those in which everything is known here.

A graph of ours needs few of the fields of onnx.proto3. Whatever else may stand in a file, such as subgraphs, functions,
training, sparse tensors or notes, is refused and not skipped: it could name files, or mean something to a runtime that
it does not mean here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flowxfer.bundle.protobuf import Message
from flowxfer.files import read_regular

LARGEST = 4 << 20  # bytes of a file: the graph of six levels with 32 steps each has 0.5 MB

# TensorProto.DataType, as far as our graphs have it
DTYPES = {1: "float32", 2: "uint8", 7: "int64", 10: "float16", 11: "float64"}
_EXTERNAL = 1
_NUMBER = re.compile("0|[1-9][0-9]{0,18}")

# AttributeProto.AttributeType
_INT, _INTS = 2, 7

__all__ = ["DTYPES", "LARGEST", "External", "Graph", "Node", "Tensor", "Value", "parse_graph", "read_graph"]


@dataclass(frozen=True)
class Value:
    """An input or output: its NumPy dtype, and its shape with names for the dimensions that are open."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Node:
    """One operation, by its ONNX name in the default domain; attributes are whole numbers or tuples of them."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, int | tuple[int, ...]]


@dataclass(frozen=True)
class External:
    """Where a tensor's numbers lie in another file, in bytes."""

    location: str
    offset: int
    length: int


@dataclass(frozen=True)
class Tensor:
    """An initialiser; its numbers lie in the graph, or elsewhere."""

    dtype: str
    shape: tuple[int, ...]
    data: memoryview | External

    @property
    def nbytes(self) -> int:
        """What its numbers take."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def array(self, folder: Path) -> npt.NDArray[Any]:
        """Its numbers; a view of the file where they lie in one."""
        dtype = np.dtype(self.dtype).newbyteorder("<")
        if not isinstance(self.data, External):
            return np.frombuffer(self.data, dtype).reshape(self.shape)
        file = np.memmap(folder / self.data.location, np.uint8, "r", self.data.offset, self.data.length)
        array: npt.NDArray[Any] = file.view(dtype).reshape(self.shape)
        return array


@dataclass(frozen=True)
class Graph:
    """A graph, as it is written."""

    ir_version: int
    opset: int
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]


def read_graph(path: Path) -> Graph:
    """:func:`parse_graph` of a file.

    Raises:
        OSError: there is no such file, or it is a device or a pipe.
        ValueError: as there, or it has more than :data:`LARGEST` bytes.
    """
    return parse_graph(read_regular(path, LARGEST))


def parse_graph(data: bytes) -> Graph:
    """Read a serialised ModelProto.

    Raises:
        ValueError: it is none, or something in it is not known here.
    """
    model = Message(memoryview(data))
    model.check(single={1, 2, 7}, repeated={8})
    opsets = model.messages(8)
    for opset in opsets:
        opset.check(single={1, 2})
    if len(opsets) != 1 or opsets[0].text(1):
        raise ValueError("it has other operators than ONNX's own")
    graph = model.message(7)
    graph.check(single={2, 10}, repeated={1, 5, 11, 12})
    tensors = [_tensor(message) for message in graph.messages(5)]
    if len(by_name := dict(tensors)) < len(tensors):
        raise ValueError("two initialisers have one name")
    return Graph(
        model.integer(1),
        opsets[0].integer(2),
        tuple(_value(message) for message in graph.messages(11)),
        tuple(_value(message) for message in graph.messages(12)),
        by_name,
        tuple(_node(message) for message in graph.messages(1)),
    )


def _node(message: Message) -> Node:
    message.check(single={3, 4}, repeated={1, 2, 5})
    attributes = [_attribute(each) for each in message.messages(5)]
    if len(by_name := dict(attributes)) < len(attributes):
        raise ValueError("two attributes of a node have one name")
    inputs, outputs = message.texts(1), message.texts(2)
    return Node(message.text(4), inputs, outputs, by_name)


def _attribute(message: Message) -> tuple[str, int | tuple[int, ...]]:
    name, kind = message.text(1), message.int32(20)
    if kind == _INT:
        message.check(single={1, 3, 20})
        return name, message.integer(3)
    if kind == _INTS:
        message.check(single={1, 20}, repeated={8})
        return name, tuple(message.integers(8))
    raise ValueError(f"the attribute {name!r} is of the type {kind}")


def _tensor(message: Message) -> tuple[str, Tensor]:
    name, kind, shape = message.text(8), message.int32(2), tuple(message.integers(1))
    if kind not in DTYPES:
        raise ValueError(f"the initialiser {name!r} has the data type {kind}")
    message.check(single={2, 8, 9, 14}, repeated={1, 13})
    external = message.int32(14) == _EXTERNAL
    if external == (9 in message) or external != (13 in message):
        raise ValueError(f"the initialiser {name!r} has its numbers neither here nor elsewhere")
    tensor = Tensor(DTYPES[kind], shape, _external(name, message) if external else message.view(9))
    size = tensor.data.length if isinstance(tensor.data, External) else len(tensor.data)
    if size != tensor.nbytes:
        raise ValueError(f"the initialiser {name!r} has {size} bytes, not {tensor.nbytes}")
    return name, tensor


def _external(name: str, message: Message) -> External:
    entries = message.messages(13)
    for entry in entries:
        entry.check(single={1, 2})
    found = {entry.text(1): entry.text(2) for entry in entries}
    if len(found) < len(entries) or found.keys() != {"location", "offset", "length"}:
        raise ValueError(f"the initialiser {name!r} does not lie at one location, offset and length")
    if not all(_NUMBER.fullmatch(found[key]) for key in ("offset", "length")):
        raise ValueError(f"the initialiser {name!r} has no whole number as its offset or length")
    return External(found["location"], int(found["offset"]), int(found["length"]))


def _value(message: Message) -> Value:
    message.check(single={1, 2})
    kind = message.message(2)
    kind.check(single={1})
    tensor = kind.message(1)
    tensor.check(single={1, 2})
    shape = tensor.message(2)
    shape.check(single=set(), repeated={1})
    name, element = message.text(1), tensor.int32(1)
    if element not in DTYPES or 2 not in tensor:
        raise ValueError(f"the input or output {name!r} is of the type {element}, or has no shape")
    return Value(name, DTYPES[element], tuple(_dimension(each) for each in shape.messages(1)))


def _dimension(message: Message) -> int | str:
    message.check(single={1, 2})
    if (1 in message) == (2 in message):
        raise ValueError("a dimension has neither a number nor a name")
    return message.integer(1) if 1 in message else message.text(2)
