"""Floating-point operations, a multiplication and an addition counted as two."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto

from flowxfer.bundle.config import GlowConfig

Shape = tuple[int, ...]

__all__ = ["architecture_flops", "graph_flops"]


def architecture_flops(config: GlowConfig, *, ones: int = 0, priors: bool = False) -> int:
    """Operations of the matrix products and convolutions of one image in one direction.

    Args:
        config: the architecture.
        ones: channels that are constantly 1 beside a state's own, 0 in the paper and 1 in our graphs.
        priors: whether to count those of the splits, which eps latents need.
    """
    total = 0
    for level, channels in enumerate(config.level_channels):
        pixels = (config.image_size >> (level + 1)) ** 2
        half, width = channels // 2, config.width
        outputs = channels if config.coupling == "affine" else half
        net = 9 * (half + ones) * width + width * width + 9 * width * outputs
        total += config.depth * pixels * ((channels + ones) ** 2 + net)
        if priors and level < config.levels - 1:
            total += pixels * 9 * (half + ones) * channels
    return 2 * total


def graph_flops(path: Path) -> int:
    """Operations of the matrix products and convolutions of a graph for one image, counted from its shapes."""
    model = onnx.load(path, load_external_data=False)
    shapes = _shapes(model)
    return sum(2 * _COUNTS[node.op_type](node, shapes) for node in model.graph.node if node.op_type in _COUNTS)


def _shapes(model: ModelProto) -> dict[str, Shape]:
    for value in (*model.graph.input, *model.graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
    return shapes


def _matmul(node: NodeProto, shapes: dict[str, Shape]) -> int:
    return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _conv(node: NodeProto, shapes: dict[str, Shape]) -> int:
    """Each output sums over one filter, whose taps outside of the image count too."""
    return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])


def _conv_transpose(node: NodeProto, shapes: dict[str, Shape]) -> int:
    """Each input goes into one filter."""
    return math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])


_COUNTS: dict[str, Callable[[NodeProto, dict[str, Shape]], int]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MatMul": _matmul,
}
