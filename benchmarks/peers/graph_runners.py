"""Contestants that run our ONNX graphs in other engines, with other options, or with one trick less."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from flowxfer.benchmarks.models import ModelFolder
from flowxfer.bundle import DECODE, ENCODE, Manifest
from flowxfer.engines.openvino import openvino
from flowxfer.types import Array, Images

from .runner import Runner

Feed = Mapping[str, npt.NDArray[Any]]
Graph = Callable[[Feed], Sequence[npt.NDArray[Any]]]

__all__ = ["OpenVino", "OpenVinoExact", "OrtBasic", "OrtGraph", "OrtSpinning", "WithoutTransposes", "onnx_runtime"]


class GraphRunner(Runner):
    """A bundle's graphs in an engine."""

    def __init__(self, model: ModelFolder, threads: int) -> None:
        bundle = self.bundle(model)
        manifest = Manifest.read(bundle)
        self._encode, self._decode = (self.open(bundle / name, threads) for name in (ENCODE, DECODE))
        self._dtype = np.dtype(manifest.latents_dtype)
        self._zeros = [np.zeros((1, *shape), self._dtype) for shape in manifest.latent_shapes]

    def bundle(self, model: ModelFolder) -> Path:
        """The folder of the graphs."""
        return model.fp32

    def open(self, graph: Path, threads: int) -> Graph:
        """A graph as a function."""
        raise NotImplementedError

    def encode(self, images: Images) -> list[Array]:
        """Encode."""
        return list(self._encode({"image": images, "bin_width": np.array(1, np.float32)}))

    def decode(self, latents: list[Array]) -> Images:
        """Decode."""
        return self.edit(latents, self._zeros, [0.0] * len(latents[0]))

    def edit(self, latents: list[Array], direction: list[Array], alphas: Sequence[float]) -> Images:
        """The graph does the arithmetic."""
        feed: dict[str, npt.NDArray[Any]] = {f"z{i}": z for i, z in enumerate(latents)}
        feed |= {f"direction{i}": d for i, d in enumerate(direction)}
        feed |= {"alpha": np.array(alphas, self._dtype)[:, None], "bin_width": np.array(1, np.float32)}
        images: Images = self._decode(feed)[0]
        return images


def onnx_runtime(graph: Path, threads: int, level: str, entries: Mapping[str, str]) -> Graph:
    """A graph in ONNX Runtime's CPU provider, with an optimisation level and entries of its configuration."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda feed: list(session.run(None, dict(feed)))


class OrtGraph(GraphRunner):
    """ONNX Runtime without the library around it; its options are the library's."""

    level = "ORT_ENABLE_ALL"
    entries: Mapping[str, str] = {"session.force_spinning_stop": "1"}

    def open(self, graph: Path, threads: int) -> Graph:
        """A session."""
        return onnx_runtime(graph, threads, self.level, self.entries)


class OrtSpinning(OrtGraph):
    """Threads that spin on after a run, ONNX Runtime's default."""

    entries: Mapping[str, str] = {}


class OrtBasic(OrtGraph):
    """Without the blocked layout of the convolutions, NCHWc."""

    level = "ORT_ENABLE_EXTENDED"


class WithoutTransposes(OrtGraph):
    """Every 3x3 convolution as Conv, none as ConvTranspose."""

    @classmethod
    def prepare(cls, model: ModelFolder) -> None:
        """Export."""
        from flowxfer.export import export_bundle, nets

        manifest = Manifest.read(model.fp32)
        with patch.object(nets, "TRANSPOSED_UP_TO", 0):
            export_bundle(
                model.glow(),
                model.path / cls.__name__,
                name=cls.__name__,
                licence=manifest.licence,
                origin=manifest.origin,
                latents=manifest.latents,
                precision="fp32",
                overwrite=True,
            )

    def bundle(self, model: ModelFolder) -> Path:
        """The export without them."""
        return model.path / type(self).__name__


class OpenVino(GraphRunner):
    """OpenVINO on our graphs, compiled for each shape; in float32, for its default on this kind of CPU is bfloat16.

    An even batch goes in shares to as many streams as there are threads, which was measured to be its fastest way.
    """

    def open(self, graph: Path, threads: int) -> Graph:
        """A compiled model per set of shapes."""
        core = openvino().Core()
        source = core.read_model(graph)
        compiled: dict[Any, Any] = {}

        def request(feed: Feed, streams: int, index: int) -> Any:
            shapes = tuple(value.shape for value in feed.values())
            if (shapes, streams) not in compiled:
                model = source.clone()
                model.reshape({name: list(value.shape) for name, value in feed.items()})
                options = {
                    "INFERENCE_NUM_THREADS": threads,
                    "INFERENCE_PRECISION_HINT": "f32",
                    "NUM_STREAMS": streams,
                    "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
                }
                compiled[shapes, streams] = core.compile_model(model, "CPU", options)
            if (shapes, streams, index) not in compiled:
                compiled[shapes, streams, index] = compiled[shapes, streams].create_infer_request()
            return compiled[shapes, streams, index]

        def run(feed: Feed) -> Sequence[npt.NDArray[Any]]:
            batch = max(len(value) for value in feed.values() if value.ndim)
            streams = threads if batch % threads == 0 else 1  # of a batch of eleven, shares took longer
            shares = [_share(feed, batch, streams, index) for index in range(streams)]
            requests = [request(share, streams, index) for index, share in enumerate(shares)]
            for one, share in zip(requests, shares, strict=True):
                one.start_async(share, share_inputs=True)
            for one in requests:
                one.wait()
            parts = [[tensor.data for tensor in one.output_tensors] for one in requests]
            return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

        return run


def _share(feed: Feed, batch: int, streams: int, index: int) -> dict[str, npt.NDArray[Any]]:
    """What one stream gets of the inputs: its images of those that have the whole batch."""
    part = slice(batch * index // streams, batch * (index + 1) // streams)
    return {name: value[part] if value.ndim and len(value) == batch else value for name, value in feed.items()}


class OpenVinoExact(OpenVino):
    """The same on the exact graphs."""

    def bundle(self, model: ModelFolder) -> Path:
        """The shipped bundle."""
        return model.exact
