"""OpenAI's variables, image size and bits in a frozen graph of its Glow.

A plain frozen graph has a constant for each variable, by its name. TensorFlow's constant folding leaves what it
computed from them: the result of the node ``NAME`` is a constant ``NAME/_1__cf__2``, such as ``…/actnorm_scale/Exp``
for exp(3 · logs). The variables and the encoder's nodes stand under ``model/``, the decoder's under ``model_1/``.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowxfer.glow.importers.tensorflow_graph import FrozenGraph

__all__ = ["bits", "image_size", "unknown_operators", "variables"]

Array = NDArray[Any]

_FOLDED = re.compile(r"/_\d+__cf__\d+$")
# What OpenAI's released code makes; older versions of TensorFlow clip with Maximum and Minimum.
_OPERATORS = frozenset({
    "Abs", "Add", "AddV2", "Cast", "ClipByValue", "ConcatV2", "Const", "Conv2D", "Exp", "Fill", "Floor",
    "Identity", "Log", "MatrixDeterminant", "MatrixInverse", "Maximum", "Minimum", "Mul", "Neg", "OneHot",
    "Pack", "Pad", "Placeholder", "Pow", "RandomUniform", "RealDiv", "Relu", "Reshape", "Shape", "Sigmoid",
    "StridedSlice", "Sub", "Sum", "Tile", "Transpose", "ZerosLike",
})  # fmt: skip
_EXP = re.compile(r"/(actnorm_scale|l_last|conv|p)/Exp$")
_SCOPE = re.compile(r"^model(_\d+)?/")


def variables(graph: FrozenGraph) -> dict[str, Array]:
    """OpenAI's variables by name, and by its own name each array that is neither a variable nor follows from them.

    What follows is checked and left out: the rings of ones around a padding, and, folded for the decoder,
    exp(±3 · logs) and inverse matrices.
    """
    arrays = {_FOLDED.sub("", name): array for name, array in graph.constants.items() if array.ndim}
    found: dict[str, Array] = {}
    for name, array in arrays.items():
        variable, value = _unfold(name, array)
        if variable in arrays:
            variable, value = name, array
        found[variable] = value
    with np.errstate(all="ignore"):  # damaged numbers may overflow; then they do not follow
        return {name: array for name, array in found.items() if not _follows(name, array, found)}


def _unfold(name: str, array: Array) -> tuple[str, Array]:
    """The variable behind a constant of the encoder, and its value; any other constant stays as it is."""
    if name.startswith("model/"):
        if name.endswith("/read"):
            return name.removesuffix("/read"), array
        if _EXP.search(name) and (array > 0).all():
            return f"{name.removesuffix('Exp')}logs", np.log(array.astype(np.float64)) / 3
        if name.endswith("/invconv/Reshape") and array.shape[:2] == (1, 1):
            return f"{name.removesuffix('Reshape')}W", array[0, 0]
    return name, array


def _follows(name: str, array: Array, found: dict[str, Array]) -> bool:
    """Whether a constant is what OpenAI's graph computes from its variables."""
    path = _SCOPE.sub("model/", name)
    if path.endswith("/f1/l_1/Const"):
        return _is_ring(array)
    if path.endswith("/read"):
        variable = found.get(path.removesuffix("/read"))
        return variable is not None and _equal(array, variable)
    if _EXP.search(path):
        logs = found.get(f"{path.removesuffix('Exp')}logs")
        return logs is not None and any(_equal(array, np.exp(sign * np.float64(3) * logs)) for sign in (1, -1))
    if path.endswith("/invconv/Reshape"):
        matrix = found.get(f"{path.removesuffix('Reshape')}W")
        if matrix is None or array.shape != (1, 1, *matrix.shape):
            return False
        return _equal(array[0, 0], matrix) or _equal(array[0, 0].astype(np.float64) @ matrix, np.eye(len(matrix)))
    return False


def _equal(first: Array, second: Array) -> bool:
    """Whether two arrays agree to the rounding of float32."""
    return first.shape == second.shape and np.allclose(first, second, rtol=1e-4, atol=1e-4)


def _is_ring(array: Array) -> bool:
    """Whether (1, H, W, 1) numbers are 1 at the border and 0 inside."""
    if array.ndim != 4 or array.shape[::3] != (1, 1) or min(array.shape[1:3]) < 3:
        return False
    ring = np.ones_like(array)
    ring[:, 1:-1, 1:-1] = 0
    return bool((array == ring).all())


def unknown_operators(graph: FrozenGraph) -> list[str]:
    """The operators that OpenAI's released code does not use: with them the same weights may mean something else."""
    return sorted(graph.operators - _OPERATORS)


def image_size(graph: FrozenGraph) -> int | None:
    """Height and width of the input ``input/image``, where the graph has it and they are known and equal."""
    match graph.placeholders.get("input/image"):
        case (_, int(height), int(width), 3) if height == width > 0:
            return height
    return None


def bits(graph: FrozenGraph) -> int | None:
    """The bits of a colour value, from the width of the added noise and from the decoder's last factors.

    Encoding adds noise in [0, 1 / bins); decoding ends in ``floor((x + 0.5) · bins) · (256 / bins)``. None where the
    graph has neither, or where they disagree.
    """
    numbers = {_FOLDED.sub("", name): float(array) for name, array in graph.constants.items() if not array.ndim}
    bins = set()
    for name, number in numbers.items():
        path = _SCOPE.sub("", name)
        if path in ("random_uniform/max", "random_uniform/sub") and number > 0:
            bins.add(1 / number)
        elif path == "mul_1/y" and number * numbers.get(f"{name.removesuffix('mul_1/y')}mul_2/y", 0) == 256:
            bins.add(number)
    return next((b for b in range(1, 9) if bins == {2**b}), None)
