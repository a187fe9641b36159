"""The parts of a graph that hold a convolutional net: couplings and split priors.

A net has a dtype of its own. Around a float64 state it sees the state rounded to a grid: to whole units in float32; in
float16 and bfloat16, which have no room for such units, to ``1 / GRID`` in natural ones. A prior's one convolution is
float32 in every case: it is cheap, and its errors would go straight into the latents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowxfer.bundle.folded import GRID, ROUNDER, Array32, Net

from .builder import GraphBuilder

# Outputs of a 3x3 convolution up to which ONNX Runtime's CPU kernels, which pad outputs to 16, lose to its transpose:
# with it a 64 px model of width 128 encodes in 9 % less time than without, and 6 or 24 in place of 12 gain nothing.
TRANSPOSED_UP_TO = 12

__all__ = ["Nets"]


@dataclass(frozen=True)
class Nets:
    """Writes nets into a graph.

    Args:
        graph: receives the nodes.
        dtype: the state's dtype, ``"float64"`` where the graph is exact, or ``"float32"``.
        net_dtype: the coupling nets', ``"float32"``, ``"float16"`` or ``"bfloat16"``.
        unit: what 1.0 is in the state's units, :data:`GRID` or 1.
    """

    graph: GraphBuilder
    dtype: str
    net_dtype: str = "float32"
    unit: float = 1.0

    def additive(self, name: str, net: Net, z1: str) -> str:
        """An additive coupling's shift, (N, n, H·W)."""
        return self._state(name, self._output(name, net, z1))

    def affine(self, name: str, net: Net, z1: str) -> tuple[str, str]:
        """An affine coupling's shift and scale, each (N, n, H·W)."""
        h = self._state(name, self._output(name, net, z1))
        shift, h = self.graph.nodes("Split", (f"{name}/shift", f"{name}/h"), h, axis=1, num_outputs=2)
        return shift, self.graph.node("Sigmoid", f"{name}/scale", h)

    def prior(self, name: str, weight: Array32, bias: Array32, z1: str, size: int) -> tuple[str, str]:
        """A split's mean and standard deviation given z1, each (N, n, H·W)."""
        g = self.graph
        x = self._image(name, z1, weight.shape[1], size, size, "float32")
        h = self._convolution(f"{name}/conv", x, weight, bias)
        h = self._state(name, g.reshape(f"{name}/rows", h, (0, len(weight), size * size)))
        mean, logs = g.nodes("Split", (f"{name}/mean", f"{name}/logs"), h, axis=1, num_outputs=2)
        return mean, g.node("Exp", f"{name}/std", logs)

    def _image(self, name: str, z1: str, channels: int, height: int, width: int, dtype: str) -> str:
        """[z1, 1] as an image of a dtype, on the grid where the state is float64."""
        if self.dtype == "float64":
            z1 = self._on_grid(name, z1)
        if self.dtype != dtype:
            z1 = self.graph.cast(f"{name}/{dtype}", z1, dtype)
        return self.graph.reshape(f"{name}/image", z1, (0, channels, height, width))

    def _on_grid(self, name: str, z1: str) -> str:
        g = self.graph
        if self.unit == GRID:
            return g.node("Round", f"{name}/grid", z1)
        rounder = g.constant("grid/rounder", ROUNDER, self.dtype)
        return g.node("Sub", f"{name}/grid", g.node("Add", f"{name}/rounded", z1, rounder), rounder)

    def _output(self, name: str, net: Net, z1: str) -> str:
        """3x3, ReLU, 1x1, ReLU, 3x3 and its map, as float32 rows."""
        g, dtype = self.graph, self.net_dtype
        channels, height, width = net.map3.shape[1:]
        h = self._image(name, z1, net.conv1.shape[1], height, width, dtype)
        h = g.node("Relu", f"{name}/relu1", self._convolution(f"{name}/conv1", h, net.conv1, net.bias1, dtype))
        h = g.node("Relu", f"{name}/relu2", self._convolution(f"{name}/conv2", h, net.conv2, net.bias2, dtype))
        h = self._convolution(f"{name}/conv3", h, net.conv3, dtype=dtype)
        if dtype != "float32":
            h = g.cast(f"{name}/conv3/float32", h, "float32")
        h = g.node("Add", f"{name}/edge", h, g.weight(f"{name}/map3", net.map3, "float32"))
        return g.reshape(f"{name}/rows", h, (0, channels, height * width))

    def _state(self, name: str, rows: str) -> str:
        """Float32 rows in the state's dtype."""
        return rows if self.dtype == "float32" else self.graph.cast(f"{name}/{self.dtype}", rows, self.dtype)

    def _convolution(
        self, name: str, x: str, weight: Array32, bias: Array32 | None = None, dtype: str = "float32"
    ) -> str:
        g, padding = self.graph, [weight.shape[2] // 2] * 4
        biases = [] if bias is None else [g.weight(f"{name}/bias", bias, dtype)]
        if weight.shape[2] == 3 and len(weight) <= TRANSPOSED_UP_TO:
            flipped = np.flip(weight.swapaxes(0, 1), (2, 3))
            return g.node("ConvTranspose", name, x, g.weight(f"{name}/flipped", flipped, dtype), *biases, pads=padding)
        return g.node("Conv", name, x, g.weight(f"{name}/weight", weight, dtype), *biases, pads=padding)
