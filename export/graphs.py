"""The ONNX graphs of a Glow, built node by node.

Encode and decode share the nets' weights. They differ in the 1x1 matrices, which the decode graph holds inverted, and
in a sign: decode subtracts where encode adds.

In the exact precisions the flow's state is float64 around nets in float32 or less. A net sees the state rounded to a
grid, so that both directions give it the very same numbers whatever the state's own last bits are; its answer is then
the same too, and what encode added decode takes away to some 1e-15.
"""

from __future__ import annotations

import math

import numpy as np
from onnx import ModelProto

from flowxfer.bundle import PRECISIONS, LatentKind, Precision
from flowxfer.bundle.folded import GRID, Affine, Array, Folded, Net
from flowxfer.bundle.layout import Layout, homogeneous

from .builder import Dimension, GraphBuilder
from .ends import edited_latents, pixels_in, pixels_out, with_ones
from .nets import Nets
from .weights_file import WeightsFile

__all__ = ["GlowGraphs"]


class GlowGraphs:
    """Builds the encode and the decode graph over one weights file.

    Args:
        model: the folded arrays of a Glow.
        weights: receives the arrays.
        precision: a key of :data:`flowxfer.bundle.PRECISIONS`.
        storage: dtype of the nets' weights on disk, ``"float32"`` or ``"float16"``.
    """

    def __init__(self, model: Folded, weights: WeightsFile, *, precision: Precision, storage: str = "float32") -> None:
        self.model = model
        self.config = model.config
        self.weights = weights
        self.storage = storage
        self.dtype, self.net_dtype = PRECISIONS[precision]
        self.unit = GRID if precision == "exact-fp32" else 1.0
        self._top = model.config.levels - 1
        self._folded: dict[tuple[int, int], Net] = {}

    def encode(self, latents: LatentKind) -> ModelProto:
        """uint8 ``image`` (N, S, S, 3) and the scalar ``bin_width`` to latents ``z0``, ``z1``, … of a kind."""
        g = self._start("encode", latents)
        x = self._pixels_in()
        for level in range(self._top):
            z1, z2 = self._encode_level(level, x)
            self._output(level, self._standardise(level, z1, z2))
            x = self._squeeze(level, z1)
        self._output(self._top, self._standardise_top(*self._encode_level(self._top, x)))
        return g.model("From images to latents.")

    def decode(self, latents: LatentKind) -> ModelProto:
        """Latents ``z``, ``direction`` and ``alpha`` to the uint8 ``image`` of ``z + alpha · direction``."""
        g = self._start("decode", latents)
        *edited, top = edited_latents(g, self.config.latent_shapes(), self.dtype, self._alphas())
        x = self._decode_level(self._top, *self._destandardise_top(top))
        for level in reversed(range(self._top)):
            z1 = self._unsqueeze(level, x)
            x = self._decode_level(level, z1, self._destandardise(level, z1, edited[level]))
        self._pixels_out(x)
        return g.model("From latents, edited by z + alpha · direction, to images.")

    def combine(self) -> ModelProto:
        """Linear arithmetic on two batches of latents: ``z = a @ x + b @ y`` over the samples, level by level.

        A mean, a difference and a mixture are each one such product; with this graph they never leave the device.
        """
        g = self._start("combine")
        weights = {
            "x": g.input("a", self.dtype, ("batch", "x_batch")),
            "y": g.input("b", self.dtype, ("batch", "y_batch")),
        }
        for level, shape in enumerate(self.config.latent_shapes()):
            products = []
            for name, weight in weights.items():
                value = g.input(f"{name}{level}", self.dtype, (f"{name}_batch", *shape))
                value = g.reshape(f"{name}{level}/samples", value, (0, math.prod(shape)))
                products.append(g.node("MatMul", f"{name}{level}/product", weight, value))
            total = g.node("Add", f"z{level}/sum", *products)
            g.output(g.reshape(f"z{level}/levels", total, (0, *shape)), f"z{level}", self.dtype, ("batch", *shape))
        return g.model("Linear arithmetic on latents.")

    def _start(self, name: str, latents: LatentKind = "raw") -> GraphBuilder:
        self.eps = latents == "eps"
        self.graph = GraphBuilder(name, self.weights, self.storage)
        self.nets = self._nets()
        return self.graph

    # ---- what a graph for another runtime does in its own way

    def _nets(self) -> Nets:
        return Nets(self.graph, self.dtype, self.net_dtype, self.unit)

    def _alphas(self) -> Dimension:
        return "alphas"

    def _pixels_in(self) -> str:
        return pixels_in(self.graph, self.config.image_size, self.dtype)

    def _pixels_out(self, x: str) -> None:
        pixels_out(self.graph, x, self.config.image_size, self.dtype)

    # ---- the steps of the flow

    def _encode_level(self, level: int, x: str) -> tuple[str, str]:
        """All steps of a level, to its [z1, 1] and z2."""
        z1 = z2 = ""
        for index in range(self.config.depth):
            if index:
                x = self.graph.node("Concat", f"{_step(level, index)}/state", z1, z2, axis=1)
            z1, z2 = self._forward(level, index, x)
            z2 = self._couple(level, index, z1, z2, inverse=False)
        return z1, z2

    def _decode_level(self, level: int, z1: str, z2: str) -> str:
        """All steps of a level backwards, to its entry."""
        for index in reversed(range(self.config.depth)):
            z2 = self._couple(level, index, z1, z2, inverse=True)
            x = self.graph.node("Concat", f"{_step(level, index)}/state", z1, z2, axis=1)
            if index:
                z1, z2 = self._inverse(level, index, x)
        return self._inverse_of_first(level, x)

    def _affine(self, level: int, index: int) -> Affine:
        """ActNorm and 1x1 in the state's units; the very first also takes grey levels at the bins' centres to them."""
        folded = self.model.step(level, index)
        affine = Affine(folded.matrix, self.unit * folded.bias)
        if level == index == 0:
            affine = affine.after(Affine(np.eye(12) * self.unit / 256, np.full(12, -self.unit / 2)))
        return affine

    def _forward(self, level: int, index: int, x: str) -> tuple[str, str]:
        target = Layout.halves(self.config.level_channels[level])
        matrix = homogeneous(self._affine(level, index), self._entry(level, index), target)
        return self._products(level, index, matrix, x)

    def _inverse(self, level: int, index: int, x: str) -> tuple[str, str]:
        halves = Layout.halves(self.config.level_channels[level])
        return self._products(level, index, homogeneous(self._affine(level, index).inverse(), halves, halves), x)

    def _products(self, level: int, index: int, matrix: Array, x: str) -> tuple[str, str]:
        """[z1, 1] and z2 as two products, so that nothing need be sliced."""
        name, half = f"{_step(level, index)}/linear", self.config.level_channels[level] // 2 + 1
        return self._product(f"{name}/z1", matrix[:half], x), self._product(f"{name}/z2", matrix[half:], x)

    def _inverse_of_first(self, level: int, x: str) -> str:
        """The inverse of a level's first 1x1: rows to unsqueeze, or the grey levels of the image."""
        source, target = Layout.halves(self.config.level_channels[level]), self._entry(level, 0)
        matrix = homogeneous(self._affine(level, 0).inverse(), source, target)
        return self._product(f"{_step(level, 0)}/linear", matrix if level else matrix[list(target.channels)], x)

    def _product(self, name: str, matrix: Array, x: str) -> str:
        g = self.graph
        return g.node("MatMul", name, g.weight(f"{g.name}/{name}", matrix, self.dtype), x)

    def _entry(self, level: int, index: int) -> Layout:
        channels = self.config.level_channels[level]
        if index:
            return Layout.halves(channels)
        return Layout.squeezed(channels) if level else Layout.pixels()

    def _couple(self, level: int, index: int, z1: str, z2: str, *, inverse: bool) -> str:
        g, name = self.graph, f"{_step(level, index)}/coupling"
        net = self._net(level, index)
        if self.config.coupling == "additive":
            return g.node("Sub" if inverse else "Add", f"{name}/z2", z2, self.nets.additive(name, net, z1))
        shift, scale = self.nets.affine(name, net, z1)
        if inverse:
            return g.node("Sub", f"{name}/z2", g.node("Div", f"{name}/unscaled", z2, scale), shift)
        return g.node("Mul", f"{name}/z2", g.node("Add", f"{name}/shifted", z2, shift), scale)

    def _net(self, level: int, index: int) -> Net:
        """A step's net, folded once for both directions."""
        if (level, index) not in self._folded:
            self._folded[level, index] = self.model.net(level, index, self.unit)
        return self._folded[level, index]

    # ---- between levels

    def _squeeze(self, level: int, z1: str) -> str:
        """[z1, 1] of a level to the entry of the next."""
        g, half, size = self.graph, self.config.level_channels[level] // 2 + 1, self._size(level + 1)
        x = g.reshape(f"level{level}/blocks", z1, (0, half, size, 2, size, 2))
        x = g.node("Transpose", f"level{level}/squeeze", x, perm=[0, 1, 3, 5, 2, 4])
        return g.reshape(f"level{level}/squeezed", x, (0, 4 * half, size * size))

    def _unsqueeze(self, level: int, x: str) -> str:
        """Back to a level's [z1, 1] from the entry of the next."""
        g, half, size = self.graph, self.config.level_channels[level] // 2 + 1, self._size(level + 1)
        x = g.reshape(f"level{level}/blocks", x, (0, half, 2, 2, size, size))
        x = g.node("Transpose", f"level{level}/unsqueeze", x, perm=[0, 1, 4, 2, 5, 3])
        return g.reshape(f"level{level}/unsqueezed", x, (0, half, 4 * size * size))

    # ---- priors: between the state and the latents

    def _standardise(self, level: int, z1: str, z2: str) -> str:
        if not self.eps:
            return self._scaled(f"split{level}/z", z2, 1 / self.unit)
        mean, std = self._prior(level, z1)
        return self.graph.node(
            "Div", f"split{level}/eps", self.graph.node("Sub", f"split{level}/residual", z2, mean), std
        )

    def _destandardise(self, level: int, z1: str, z: str) -> str:
        if not self.eps:
            return self._scaled(f"split{level}/z2", z, self.unit)
        mean, std = self._prior(level, z1)
        return self.graph.node(
            "Add", f"split{level}/z2", self.graph.node("Mul", f"split{level}/residual", z, std), mean
        )

    def _prior(self, level: int, z1: str) -> tuple[str, str]:
        weight, bias = self.model.split(level, self.unit)
        return self.nets.prior(f"split{level}", weight, bias, z1, self._size(level))

    def _standardise_top(self, z1: str, z2: str) -> str:
        """Drop the row of ones, join the halves and standardise."""
        g, half = self.graph, self.config.level_channels[-1] // 2
        bounds = [
            g.constant(f"top/{name}", [value], "int64") for name, value in (("start", 0), ("end", half), ("axis", 1))
        ]
        z = g.node("Concat", "top/state", g.node("Slice", "top/z1", z1, *bounds), z2, axis=1)
        if not self.eps:
            return self._scaled("top/z", z, 1 / self.unit)
        mean, std = self._top_prior()
        return g.node("Div", "top/eps", g.node("Sub", "top/residual", z, mean), std)

    def _destandardise_top(self, z: str) -> tuple[str, str]:
        g = self.graph
        if self.eps:
            mean, std = self._top_prior()
            z = g.node("Add", "top/state", g.node("Mul", "top/residual", z, std), mean)
        else:
            z = self._scaled("top/state", z, self.unit)
        z1, z2 = g.nodes("Split", ("top/z1", "top/z2"), z, axis=1, num_outputs=2)
        return with_ones(g, "top/ones", z1, self.dtype), z2

    def _top_prior(self) -> tuple[str, str]:
        mean, logs = self.model.prior()
        return (
            self.graph.weight("top/mean", self.unit * mean, self.dtype),
            self.graph.weight("top/std", self.unit * np.exp(logs), self.dtype),
        )

    def _scaled(self, name: str, value: str, factor: float) -> str:
        return self.graph.node("Mul", name, value, self.graph.constant(f"{name}/factor", factor, self.dtype))

    def _output(self, level: int, z: str) -> None:
        shape = self.config.latent_shapes()[level]
        z = self.graph.reshape(f"latents/{level}", z, (0, *shape))
        self.graph.output(z, f"z{level}", self.dtype, ("batch", *shape))

    def _size(self, level: int) -> int:
        return self.config.image_size >> (level + 1)


def _step(level: int, index: int) -> str:
    return f"level{level}/step{index}"
