"""Ways to write one coupling step in ONNX, measured for each shape: redo the choice that ``export/nets.py`` makes.

``python -m flowxfer.benchmarks.patterns synthetic-64`` prints, for each level of a model and each batch, the time of a
step in every way, in turns, the least of many runs. A way is named by how it writes its parts:

- ``conv`` or ``transpose``: the last 3x3 as Conv, or as ConvTranspose, whose product has no outputs to pad.
- ``pointwise`` or ``product``: the 1x1 between as Conv, or as MatMul on rows.
- ``blocked`` or ``plain``: with ONNX Runtime's NCHWc layout for convolutions, or without.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from flowxfer.bundle.config import GlowConfig
from flowxfer.bundle.folded import Array32
from flowxfer.export.builder import GraphBuilder
from flowxfer.export.weights_file import WeightsFile

from .peers.graph_runners import onnx_runtime

LEVELS = {"blocked": "ORT_ENABLE_ALL", "plain": "ORT_ENABLE_EXTENDED"}
ARCHITECTURES = {
    "synthetic-64": GlowConfig(64, 4, 8, 128, "additive"),
    "recipe-256": GlowConfig(256, 6, 4, 512, "additive"),
}

__all__ = ["Shape", "Way", "measure", "step_graph", "ways"]


@dataclass(frozen=True)
class Shape:
    """A step's sizes: channels of its state, width of its net, height and width of its images."""

    channels: int
    width: int
    size: int


@dataclass(frozen=True)
class Way:
    """How a step is written; the fields are the words that the module's docstring explains."""

    last: str
    middle: str
    layout: str

    def __str__(self) -> str:
        return f"{self.last} {self.middle} {self.layout}"


def ways() -> list[Way]:
    """All of them."""
    return [Way(*parts) for parts in itertools.product(("conv", "transpose"), ("pointwise", "product"), LEVELS)]


def step_graph(way: Way, shape: Shape, path: Path) -> None:
    """Write a step with random weights: input ``x`` (N, c + 1, H·W), output ``y`` of the same shape, float32."""
    rng = np.random.default_rng(0)
    half, width, size = shape.channels // 2, shape.width, shape.size

    def random(*dimensions: int) -> Array32:
        fan_in = math.prod(dimensions[1:])
        return rng.standard_normal(dimensions, np.float32) / np.float32(fan_in**0.5)

    with WeightsFile(path.with_suffix(".bin")) as weights:
        g = GraphBuilder("step", weights)
        x = g.input("x", "float32", ("batch", shape.channels + 1, size * size))
        linear = random(shape.channels + 1, shape.channels + 1)
        z1 = g.node("MatMul", "z1", g.weight("linear1", linear[: half + 1], "float32"), x)
        z2 = g.node("MatMul", "z2", g.weight("linear2", linear[half + 1 :], "float32"), x)
        bias = random(width, 1)[:, 0]
        h = _conv(g, "conv1", g.reshape("image", z1, (0, half + 1, size, size)), random(width, half + 1, 3, 3), bias)
        h = g.node("Relu", "relu1", h)
        h = _middle(g, way, h, random(width, width, 1, 1), bias, size)
        h = _last(g, way, h, random(half, width, 3, 3))
        h = g.node("Add", "edge", h, g.weight("map", random(1, half, size, size), "float32"))
        z2 = g.node("Add", "shifted", z2, g.reshape("rows", h, (0, half, size * size)))
        y = g.node("Concat", "state", z1, z2, axis=1)
        g.output(y, "y", "float32", ("batch", shape.channels + 1, size * size))
    onnx.save(g.model("A coupling step."), path)


def _conv(g: GraphBuilder, name: str, x: str, weight: Array32, bias: Array32 | None = None) -> str:
    biases = [] if bias is None else [g.weight(f"{name}/bias", bias, "float32")]
    return g.node(
        "Conv", name, x, g.weight(f"{name}/weight", weight, "float32"), *biases, pads=[weight.shape[2] // 2] * 4
    )


def _middle(g: GraphBuilder, way: Way, h: str, weight: Array32, bias: Array32, size: int) -> str:
    if way.middle == "pointwise":
        return g.node("Relu", "relu2", _conv(g, "conv2", h, weight, bias))
    width = len(weight)
    rows = g.reshape("hidden/rows", h, (0, width, size * size))
    h = g.node("MatMul", "conv2", g.weight("conv2/weight", weight[:, :, 0, 0], "float32"), rows)
    h = g.node("Relu", "relu2", g.node("Add", "conv2/shifted", h, g.weight("conv2/bias", bias[:, None], "float32")))
    return g.reshape("hidden/image", h, (0, width, size, size))


def _last(g: GraphBuilder, way: Way, h: str, weight: Array32) -> str:
    if way.last == "conv":
        return _conv(g, "conv3", h, weight)
    flipped = np.flip(weight.swapaxes(0, 1), (2, 3))
    return g.node("ConvTranspose", "conv3", h, g.weight("conv3/flipped", flipped, "float32"), pads=[1] * 4)


def measure(shape: Shape, batch: int, threads: int, seconds: float) -> dict[Way, tuple[float, float]]:
    """Least milliseconds of the clock and of the process's work for a step in each way, called in turns."""
    feed = {"x": np.random.default_rng(1).standard_normal((batch, shape.channels + 1, shape.size**2), np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        calls: dict[Way, Callable[[], object]] = {}
        for index, way in enumerate(ways()):
            path = Path(folder) / f"{index}.onnx"
            step_graph(way, shape, path)
            run = onnx_runtime(path, threads, LEVELS[way.layout], {"session.force_spinning_stop": "1"})
            calls[way] = lambda run=run: run(feed)  # type: ignore[misc]
        least = {way: (float("inf"), float("inf")) for way in calls}
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            for way, call in calls.items():
                call()  # the other ways have filled the caches
                clock, work = _timed(call)
                least[way] = min(least[way][0], clock), min(least[way][1], work)
    return {way: (1e3 * clock, 1e3 * work) for way, (clock, work) in least.items()}


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    start, work = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - work


def _shapes(config: GlowConfig) -> Iterator[Shape]:
    for level, channels in enumerate(config.level_channels):
        yield Shape(channels, config.width, config.image_size >> (level + 1))


def main() -> None:
    """Print a table for each shape and batch."""
    parser = argparse.ArgumentParser(description="Measure the ways to write a coupling step in ONNX.")
    parser.add_argument("model", choices=ARCHITECTURES)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each shape and batch")
    options = parser.parse_args()
    for shape, batch in itertools.product(_shapes(ARCHITECTURES[options.model]), options.batch):
        print(f"\n{shape.channels} channels, width {shape.width}, {shape.size} x {shape.size}, batch {batch}")
        found = measure(shape, batch, options.threads, options.seconds)
        for way, (clock, work) in sorted(found.items(), key=lambda item: item[1]):
            print(f"  {way!s:<28} {clock:8.3f} ms, work {work:8.3f} ms")


if __name__ == "__main__":
    main()
