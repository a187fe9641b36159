"""What a graph computes: dtype and shape of every value, for the operators that our graphs have.

A runtime finds out by itself, but each says in its own way that something does not fit, some not before they run, and
none minds how much memory a graph asks for. Operators are those of https://onnx.ai/onnx/operators, opset 18.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from flowxfer.bundle.onnx_file import DTYPES, External, Graph, Node, Tensor

__all__ = ["Kind", "infer"]


@dataclass(frozen=True)
class Kind:
    """Dtype and shape of a value; of a constant that says how to cut or shape another, its numbers too."""

    dtype: str
    shape: tuple[int, ...]
    numbers: tuple[int, ...] | None = None


_Rule = Callable[[Node, list[Kind]], list[Kind]]


def infer(graph: Graph, inputs: Mapping[str, Kind], *, largest: int, together: int) -> dict[str, Kind]:
    """Find the kind of every value of a graph.

    Args:
        graph: as it was read.
        inputs: what it is given, by name.
        largest: numbers that one value may have.
        together: numbers that the values may have that are needed at one time.

    Raises:
        ValueError: something is not known here or does not fit, two values have one name, or they are too large.
    """
    kinds: dict[str, Kind] = {}
    for name, kind in [*inputs.items(), *((name, _constant(tensor)) for name, tensor in graph.tensors.items())]:
        _add(kinds, name, kind)
    constants = set(graph.tensors)
    last = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    last |= {value.name: len(graph.nodes) for value in graph.outputs}
    for index, node in enumerate(graph.nodes):
        if constants.issuperset(node.inputs):  # a runtime may compute it on loading, and keep all of it
            if node.op != "Cast":
                raise ValueError(f"{node.op} takes constants alone")
            constants.update(node.outputs)
        for name, kind in zip(node.outputs, _made(node, kinds), strict=True):
            _add(kinds, name, kind)
            together -= prod(kind.shape)
            if prod(kind.shape) > largest or together < 0:
                raise ValueError(f"{name!r} takes more memory than a model of this size needs")
        over = {name for name in (*node.inputs, *node.outputs) if last.get(name, index) == index}
        together += sum(prod(kinds[name].shape) for name in over - constants - inputs.keys())
    return kinds


def _made(node: Node, kinds: Mapping[str, Kind]) -> list[Kind]:
    if node.op not in _OPERATORS:
        raise ValueError(f"the operator {node.op!r} is not known here")
    rule, attributes = _OPERATORS[node.op]
    if unknown := sorted(node.attributes.keys() - attributes):
        raise ValueError(f"the attribute {unknown[0]!r} of {node.op} is not known here")
    if missing := [name for name in node.inputs if name not in kinds]:
        raise ValueError(f"{node.op} takes {missing[0]!r}, which nothing before it makes")
    try:
        made = rule(node, [kinds[name] for name in node.inputs])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{node.op} cannot make {', '.join(map(repr, node.outputs))} of what it takes") from error
    if len(made) != len(node.outputs):
        raise ValueError(f"{node.op} has {len(node.outputs)} outputs, not {len(made)}")
    return made


def _add(kinds: dict[str, Kind], name: str, kind: Kind) -> None:
    if not name or name in kinds:
        raise ValueError(f"two values have the name {name!r}, or one has none")
    kinds[name] = kind


def _constant(tensor: Tensor) -> Kind:
    if tensor.dtype == "int64" and len(tensor.shape) == 1 and not isinstance(tensor.data, External):
        return Kind(tensor.dtype, tensor.shape, tuple(np.frombuffer(tensor.data, "<i8").tolist()))
    return Kind(tensor.dtype, tensor.shape)


# ---- the rules; what does not fit raises one of the errors that are caught above


def _expect(fits: bool) -> None:
    if not fits:
        raise ValueError


def _numbers(kind: Kind) -> tuple[int, ...]:
    _expect(kind.numbers is not None)
    return kind.numbers or ()


def _ints(node: Node, name: str) -> tuple[int, ...]:
    value = node.attributes[name]
    _expect(isinstance(value, tuple))
    return value if isinstance(value, tuple) else ()


def _int(node: Node, name: str) -> int:
    value = node.attributes[name]
    _expect(isinstance(value, int))
    return value if isinstance(value, int) else 0


def _same(_: Node, kinds: list[Kind]) -> list[Kind]:
    (x,) = kinds
    return [Kind(x.dtype, x.shape)]


def _cast(node: Node, kinds: list[Kind]) -> list[Kind]:
    (x,) = kinds
    return [Kind(DTYPES[_int(node, "to")], x.shape)]


def _elementwise(_: Node, kinds: list[Kind]) -> list[Kind]:
    x, y = kinds
    _expect(x.dtype == y.dtype)
    return [Kind(x.dtype, np.broadcast_shapes(x.shape, y.shape))]


def _clip(_: Node, kinds: list[Kind]) -> list[Kind]:
    x, *bounds = kinds
    _expect([(bound.dtype, bound.shape) for bound in bounds] == [(x.dtype, ())] * 2)
    return [Kind(x.dtype, x.shape)]


def _matmul(_: Node, kinds: list[Kind]) -> list[Kind]:
    x, y = kinds
    (*before, rows, inner), (*others, same, columns) = x.shape, y.shape
    _expect(x.dtype == y.dtype and inner == same)
    return [Kind(x.dtype, (*np.broadcast_shapes(tuple(before), tuple(others)), rows, columns))]


def _reshape(_: Node, kinds: list[Kind]) -> list[Kind]:
    x, to = kinds
    shape = tuple(size or x.shape[index] for index, size in enumerate(_numbers(to)))
    _expect(min(shape, default=1) > 0 and prod(shape) == prod(x.shape))
    return [Kind(x.dtype, shape)]


def _transpose(node: Node, kinds: list[Kind]) -> list[Kind]:
    (x,), order = kinds, _ints(node, "perm")
    _expect(sorted(order) == list(range(len(x.shape))))
    return [Kind(x.dtype, tuple(x.shape[axis] for axis in order))]


def _concat(node: Node, kinds: list[Kind]) -> list[Kind]:
    axis, first = _int(node, "axis"), kinds[0]
    _expect(0 <= axis < len(first.shape))
    for kind in kinds:
        _expect(kind.dtype == first.dtype and _without(kind.shape, axis) == _without(first.shape, axis))
    return [Kind(first.dtype, _resized(first.shape, axis, sum(kind.shape[axis] for kind in kinds)))]


def _split(node: Node, kinds: list[Kind]) -> list[Kind]:
    (x,), axis, count = kinds, _int(node, "axis"), _int(node, "num_outputs")
    _expect(0 <= axis < len(x.shape) and count == len(node.outputs) and x.shape[axis] % count == 0)
    return [Kind(x.dtype, _resized(x.shape, axis, x.shape[axis] // count))] * count


def _slice(_: Node, kinds: list[Kind]) -> list[Kind]:
    x, *bounds = kinds
    (start,), (end,), (axis,) = map(_numbers, bounds)
    _expect(0 <= axis < len(x.shape) and 0 <= start < end <= x.shape[axis])
    return [Kind(x.dtype, _resized(x.shape, axis, end - start))]


def _pad(_: Node, kinds: list[Kind]) -> list[Kind]:
    x, pads, value = kinds
    before, after = _numbers(pads)[: len(x.shape)], _numbers(pads)[len(x.shape) :]
    _expect((value.dtype, value.shape) == (x.dtype, ()) and min(_numbers(pads)) >= 0)
    return [Kind(x.dtype, tuple(map(sum, zip(before, x.shape, after, strict=True))))]


def _convolution(node: Node, kinds: list[Kind]) -> list[Kind]:
    x, weight, *bias = kinds
    outputs, inputs = weight.shape[:2]
    return _convolved(node, x, weight, bias, inputs, outputs, 1)


def _transposed(node: Node, kinds: list[Kind]) -> list[Kind]:
    x, weight, *bias = kinds
    inputs, outputs = weight.shape[:2]
    return _convolved(node, x, weight, bias, inputs, outputs, -1)


def _convolved(node: Node, x: Kind, weight: Kind, bias: list[Kind], inputs: int, outputs: int, sign: int) -> list[Kind]:
    """Of a convolution (1) or its transpose (-1), whose padding is what its kernel takes or adds."""
    (_, channels, *size), (_, _, *kernel) = x.shape, weight.shape
    _expect(channels == inputs and len(size) == len(kernel) == 2 and x.dtype == weight.dtype)
    _expect([(each.dtype, each.shape) for each in bias] in ([], [(x.dtype, (outputs,))]))
    top, left, bottom, right = _ints(node, "pads")
    pads = top + bottom, left + right
    shape = tuple(length + sign * (pad - side + 1) for length, pad, side in zip(size, pads, kernel, strict=True))
    _expect(min(top, left, bottom, right) >= 0 and min(shape) > 0)
    return [Kind(x.dtype, (x.shape[0], outputs, *shape))]


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _resized(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])


# Each operator's rule, and the attributes that it may have.
_OPERATORS: dict[str, tuple[_Rule, set[str]]] = {
    **{op: (_same, set()) for op in ("Exp", "Floor", "Identity", "Relu", "Round", "Sigmoid")},
    **{op: (_elementwise, set()) for op in ("Add", "Div", "Mul", "Sub")},
    "Cast": (_cast, {"to"}),
    "Clip": (_clip, set()),
    "Concat": (_concat, {"axis"}),
    "Conv": (_convolution, {"pads"}),
    "ConvTranspose": (_transposed, {"pads"}),
    "MatMul": (_matmul, set()),
    "Pad": (_pad, set()),
    "Reshape": (_reshape, set()),
    "Slice": (_slice, set()),
    "Split": (_split, {"axis", "num_outputs"}),
    "Transpose": (_transpose, {"perm"}),
}
