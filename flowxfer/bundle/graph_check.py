"""Whether a bundle's graphs are what its manifest implies: operators, weights, inputs, outputs, shapes and memory."""

from __future__ import annotations

from math import isqrt
from pathlib import Path

import numpy as np

from flowxfer.bundle.graph_shapes import Kind, infer
from flowxfer.bundle.manifest import COMBINE, ENCODE, Manifest
from flowxfer.bundle.onnx_file import External, Graph, Value, read_graph
from flowxfer.errors import BundleError, reason

OPSET = 18  # the first in which Split has num_outputs; ONNX Runtime 1.20 and TensorRT 10 read it
IR_VERSION = 9

# What fits two numbers of samples fits every other: no operator of ours could tell it from these.
_SAMPLES = 3, 5
# Numbers that are needed at one time, in sizes of the largest value: nets need some 4, and latents wait for the end.
_TOGETHER = 16

__all__ = ["IR_VERSION", "OPSET", "check_graph"]


def check_graph(path: Path, manifest: Manifest, weights: str) -> None:
    """Refuse a graph that is not one of ours.

    Args:
        path: of the graph, a file of the bundle.
        manifest: of the bundle.
        weights: name of the only file beside it that it may read.

    Raises:
        BundleError: the message names the graph, and says what was not expected.
    """
    try:
        graph = read_graph(path)
        _check_weights(graph, path.parent / weights)
        if (graph.ir_version, graph.opset) != (IR_VERSION, OPSET) or manifest.opset != OPSET:
            raise ValueError(f"it is of IR version {graph.ir_version} and opset {graph.opset}")
        _check_shapes(graph, path.name, manifest, (path.parent / weights).stat().st_size)
    except (ValueError, OverflowError) as error:
        raise BundleError(
            f"expected in {path} a graph that flowxfer exported, for the model in the manifest: {reason(error)};"
            " do not use this bundle, or export the model again"
        ) from error


def _check_weights(graph: Graph, weights: Path) -> None:
    """Every tensor that lies elsewhere lies in the weights file, whole, and its numbers are numbers."""
    size = left = weights.stat().st_size
    for name, tensor in graph.tensors.items():
        if isinstance(tensor.data, External):
            if tensor.data.location != weights.name:
                raise ValueError(f"{name!r} lies in {tensor.data.location!r} and not in {weights.name}")
            if tensor.data.offset + tensor.data.length > size:
                raise ValueError(f"{name!r} lies behind the end of {weights.name}")
            left -= tensor.data.length
            if left < 0:
                raise ValueError(f"its tensors have more bytes than {weights.name}")
        if not np.isfinite(tensor.array(weights.parent)).all():
            raise ValueError(f"{name!r} is not finite")


def _check_shapes(graph: Graph, name: str, manifest: Manifest, weights: int) -> None:
    for samples in _SAMPLES:
        inputs, outputs = _implied(name, manifest, samples)
        others = _implied(name, manifest, samples + 1)
        for declared, implied, other in zip((graph.inputs, graph.outputs), (inputs, outputs), others, strict=True):
            _check_declared(declared, implied, other)
        # A net's second convolution has width x width numbers, of two bytes at least.
        channels = max(24 << len(manifest.latent_shapes), isqrt(weights // 2))
        largest = samples * channels * manifest.image_size**2
        kinds = infer(graph, inputs, largest=largest, together=_TOGETHER * largest)
        for output, implied_kind in outputs.items():
            if (kind := kinds.get(output)) != implied_kind:
                raise ValueError(f"the output {output} is {_text(kind)}, and not {_text(implied_kind)}")


def _check_declared(declared: tuple[Value, ...], implied: dict[str, Kind], other: dict[str, Kind]) -> None:
    """Compare inputs or outputs with those for some samples, and for some more, which tells what has to be open."""
    if (names := [value.name for value in declared]) != list(implied):
        raise ValueError(f"expected the inputs or outputs {', '.join(implied)}, got {', '.join(map(repr, names))}")
    for value in declared:
        kind, open_ = implied[value.name], other[value.name]
        fits = value.dtype == kind.dtype and len(value.shape) == len(kind.shape)
        if not fits or not all(map(_fits, value.shape, kind.shape, open_.shape)):
            raise ValueError(f"{value.name} is {value.dtype} {value.shape}, and not {_text(kind)}")


def _fits(declared: int | str, size: int, other: int) -> bool:
    return isinstance(declared, str) or (declared == size == other)


def _text(kind: Kind | None) -> str:
    return f"{kind.dtype} {kind.shape}" if kind else "not there"


def _implied(graph: str, manifest: Manifest, samples: int) -> tuple[dict[str, Kind], dict[str, Kind]]:
    """Inputs and outputs of a bundle's graph, in order."""
    size, dtype, levels = manifest.image_size, manifest.latents_dtype, len(manifest.latent_shapes)

    def latents(**counts: int) -> dict[str, Kind]:
        return {
            f"{name}{level}": Kind(dtype, (count, *shape))
            for level, shape in enumerate(manifest.latent_shapes)
            for name, count in counts.items()
        }

    image = {"image": Kind("uint8", (samples, size, size, 3))}
    bin_width = {"bin_width": Kind("float32", ())}
    if graph == ENCODE:
        return {**image, **bin_width}, latents(z=samples)
    if graph == COMBINE:
        x, y = samples + 1, samples + 2
        return {"a": Kind(dtype, (samples, x)), "b": Kind(dtype, (samples, y)), **latents(x=x, y=y)}, latents(z=samples)
    alpha = {"alpha": Kind(dtype, (samples, levels))}
    return {**latents(z=samples), **latents(direction=samples), **alpha, **bin_width}, image
