"""Where a graph begins and ends: pictures as rows of grey levels, and latents as rows to decode.

Rows are (N, channels, H·W); see :mod:`flowxfer.bundle.layout` for the ones among them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .builder import Dimension, GraphBuilder

__all__ = ["edited_latents", "pixels_in", "pixels_out", "wide_pixels_in", "wide_pixels_out", "with_ones"]


def pixels_in(g: GraphBuilder, size: int, dtype: str) -> str:
    """Inputs ``image`` and ``bin_width`` to the bins' centres in grey levels, squeezed: (N, 13, H·W) with its ones."""
    image = g.input("image", "uint8", ("batch", size, size, 3))
    return _centers(g, g.cast("image/float", _squeezed(g, image, size), "float32"), dtype)


def wide_pixels_in(g: GraphBuilder, size: int, dtype: str) -> str:
    """:func:`pixels_in` for a runtime that can do nothing with uint8 but cast it."""
    image = g.input("image", "uint8", ("batch", size, size, 3))
    return _centers(g, _squeezed(g, g.cast("image/float", image, "float32"), size), dtype)


def _squeezed(g: GraphBuilder, image: str, size: int) -> str:
    x = g.reshape("image/blocks", image, (0, size // 2, 2, size // 2, 2, 3))
    x = g.node("Transpose", "image/squeeze", x, perm=[0, 5, 2, 4, 1, 3])
    return g.reshape("image/rows", x, (0, 12, size * size // 4))


def _centers(g: GraphBuilder, x: str, dtype: str) -> str:
    bin_width = g.input("bin_width", "float32", ())
    x = g.node("Floor", "image/bin", g.node("Div", "image/bins", x, bin_width))
    x = g.node("Add", "image/center", x, g.constant("half", 0.5, "float32"))
    x = g.node("Mul", "image/grey", x, bin_width)
    return with_ones(g, "image/ones", g.cast("image/state", x, dtype), dtype)


def pixels_out(g: GraphBuilder, x: str, size: int, dtype: str) -> None:
    """Grey levels (N, 12, H·W) and the input ``bin_width`` to the lower edges of their bins, the output ``image``."""
    x = _unsqueezed(g, g.cast("image/uint8", _edges(g, x, dtype), "uint8"), size)
    g.output(x, "image", "uint8", ("batch", size, size, 3))


def wide_pixels_out(g: GraphBuilder, x: str, size: int, dtype: str) -> None:
    """:func:`pixels_out` for a runtime that can do nothing with uint8 but make it."""
    g.cast("image", _unsqueezed(g, _edges(g, x, dtype), size), "uint8")
    g.result("image", "uint8", ("batch", size, size, 3))


def _edges(g: GraphBuilder, x: str, dtype: str) -> str:
    bin_width = g.cast("image/bin_width", g.input("bin_width", "float32", ()), dtype)
    x = g.node("Floor", "image/bin", g.node("Div", "image/bins", x, bin_width))
    x = g.node("Mul", "image/grey", x, bin_width)
    return g.node("Clip", "image/clip", x, g.constant("black", 0, dtype), g.constant("white", 255, dtype))


def _unsqueezed(g: GraphBuilder, x: str, size: int) -> str:
    x = g.reshape("image/blocks", x, (0, 3, 2, 2, size // 2, size // 2))
    x = g.node("Transpose", "image/unsqueeze", x, perm=[0, 4, 2, 5, 3, 1])
    return g.reshape("image/rows", x, (0, size, size, 3))


def edited_latents(g: GraphBuilder, shapes: Sequence[tuple[int, int, int]], dtype: str, alphas: Dimension) -> list[str]:
    """Inputs ``z``, ``direction`` and ``alpha`` to each level's ``z + alpha · direction``, (N, C, H·W).

    Latents and directions may be one for the whole batch; alpha is (N, 1) or (N, levels), as ``alphas`` declares it.
    """
    z = [g.input(f"z{i}", dtype, ("z_batch", *shape)) for i, shape in enumerate(shapes)]
    directions = [g.input(f"direction{i}", dtype, ("direction_batch", *shape)) for i, shape in enumerate(shapes)]
    alpha = g.input("alpha", dtype, ("batch", alphas))
    alpha = g.node("Add", "edit/alpha", alpha, g.constant("edit/levels", np.zeros((1, len(shapes))), dtype))
    strengths = g.nodes("Split", [f"edit/alpha{i}" for i in range(len(shapes))], alpha, axis=1, num_outputs=len(shapes))
    edited = []
    for level, (channels, height, width) in enumerate(shapes):
        name, rows = f"edit/level{level}", (0, channels, height * width)
        strength = g.reshape(f"{name}/alpha", strengths[level], (0, 1, 1))
        direction = g.reshape(f"{name}/direction", directions[level], rows)
        change = g.node("Mul", f"{name}/change", strength, direction)
        edited.append(g.node("Add", f"{name}/z", g.reshape(f"{name}/rows", z[level], rows), change))
    return edited


def with_ones(g: GraphBuilder, name: str, rows: str, dtype: str) -> str:
    """Append a row of ones."""
    pads = g.constant("ones/pads", [0, 0, 0, 0, 1, 0], "int64")
    return g.node("Pad", name, rows, pads, g.constant("ones/value", 1, dtype))
