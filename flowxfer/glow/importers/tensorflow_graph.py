"""Reads the constants of a frozen TensorFlow graph (GraphDef, ``.pb``) without TensorFlow.

The messages are those of tensorflow/core/framework/graph.proto and node_def.proto.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from flowxfer.bundle.protobuf import Message
from flowxfer.errors import WeightsError, reason
from flowxfer.glow.importers.tensor_proto import FLOATS, constant, shape

__all__ = ["FrozenGraph", "read_graph"]

_GRAPH_FIELDS = {1, 2, 3, 4}  # node, library, version, versions
_READ = {"Const", "Placeholder"}


@dataclass(frozen=True)
class FrozenGraph:
    """What a frozen graph holds.

    Args:
        constants: the floating point constants by node name.
        placeholders: the shapes of the inputs by name; -1 for an unknown dimension.
        operators: the operators in use.
    """

    constants: dict[str, NDArray[Any]]
    placeholders: dict[str, tuple[int, ...]]
    operators: frozenset[str]


def read_graph(path: Path) -> FrozenGraph:
    """Read a frozen graph.

    Raises:
        WeightsError: the file is no GraphDef, is truncated, or a constant in it is damaged.
    """
    try:
        data = memoryview(path.read_bytes())
        return _graph(Message(data), len(data))
    except (OSError, ValueError) as error:
        raise WeightsError(f"expected a frozen TensorFlow graph at {path}, but {reason(error)}") from error


def _graph(message: Message, size: int) -> FrozenGraph:
    nodes = message.messages(1)
    if not nodes or message.numbers() - _GRAPH_FIELDS:
        raise ValueError("it is another kind of file")
    constants, placeholders, operators = {}, {}, set()
    for node in nodes:
        name, operator = node.text(1), node.text(2)
        if not name or not operator:
            raise ValueError("a node has no name or no operator")
        operators.add(operator)
        attributes = {a.text(1): a.message(2) for a in node.messages(5)} if operator in _READ else {}
        if operator == "Const" and "value" in attributes:
            tensor = attributes["value"].message(8)
            if tensor.integer(1) in FLOATS:
                constants[name] = _named(name, tensor, size)
        elif operator == "Placeholder" and "shape" in attributes:
            dimensions = attributes["shape"].message(7)
            placeholders[name] = () if dimensions.integer(3) else shape(dimensions)
    return FrozenGraph(constants, placeholders, frozenset(operators))


def _named(name: str, tensor: Message, size: int) -> NDArray[Any]:
    try:
        return constant(tensor, size)
    except ValueError as error:
        raise ValueError(f"the constant {name} cannot be read: {reason(error)}") from error
