"""Graphs that TensorRT 10 and 11 take as they stand: strongly typed, with uint8 at the very ends only.

TensorRT has no float64, so the state is float32 here, and a round trip is as exact as float32 makes it. The nets are
float32, or float16 with their casts written out: a strongly typed network computes in the types that the graph names.
"""

from __future__ import annotations

from flowxfer.bundle.folded import Array32

from .builder import Dimension
from .ends import wide_pixels_in, wide_pixels_out
from .graphs import GlowGraphs
from .nets import Nets

__all__ = ["TensorRTGraphs"]


class TensorRTGraphs(GlowGraphs):
    """Builds the graphs for TensorRT over one weights file; see :class:`~flowxfer.export.graphs.GlowGraphs`."""

    def _nets(self) -> Nets:
        return _PlainNets(self.graph, self.dtype, self.net_dtype, self.unit)

    def _alphas(self) -> Dimension:
        return self.config.levels  # a Split of a dynamic dimension would have pieces of unknown size

    def _pixels_in(self) -> str:
        return wide_pixels_in(self.graph, self.config.image_size, self.dtype)

    def _pixels_out(self, x: str) -> None:
        wide_pixels_out(self.graph, x, self.config.image_size, self.dtype)


class _PlainNets(Nets):
    """Nets without the transposed convolutions, which gain on ONNX Runtime's CPU kernels alone."""

    def _convolution(
        self, name: str, x: str, weight: Array32, bias: Array32 | None = None, dtype: str = "float32"
    ) -> str:
        g, arrays = self.graph, [self.graph.weight(f"{name}/weight", weight, dtype)]
        if bias is not None:
            arrays.append(g.weight(f"{name}/bias", bias, dtype))
        return g.node("Conv", name, x, *arrays, pads=[weight.shape[2] // 2] * 4)
