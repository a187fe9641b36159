"""CUDA graphs: a model's hundreds of kernels started as one, from inputs and to outputs at fixed addresses.

ONNX Runtime captures a graph for each ``gpu_graph_id`` and then replays what it captured, whatever is bound: see
"Using CUDA Graphs" in https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html. So inputs are copied
into buffers that stay, one set for each combination of shapes, and outputs out of them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flowxfer.engines.ort.providers import runtime
from flowxfer.engines.ort.session_pool import Feed, joined

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, IOBinding, OrtValue, RunOptions

_UNCAPTURED = -1  # ONNX Runtime's id for a run that is neither captured nor replayed

__all__ = ["CapturedGraphs"]


@dataclass(frozen=True)
class _Buffers:
    inputs: dict[str, OrtValue]
    outputs: Sequence[OrtValue]
    binding: IOBinding
    options: RunOptions


class CapturedGraphs:
    """One session's graphs, captured when a combination of shapes is first met. Safe to use from several threads.

    Args:
        session: one whose provider has CUDA graphs enabled.
    """

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._buffers: dict[tuple[tuple[int, ...], ...], _Buffers] = {}
        self._lock = threading.Lock()

    def run(self, feed: Feed, outputs: Sequence[str], device: str) -> Sequence[OrtValue]:
        """Replay the graph for these inputs; see :class:`flowxfer.engines.ort.session_pool.Graph`."""
        shapes = tuple(_shape(value) for value in feed.values())
        with self._lock:
            if shapes in self._buffers:
                buffers = self._buffers[shapes]
                for name, value in feed.items():
                    buffers.inputs[name].update_inplace(value)
            else:
                buffers = self._buffers[shapes] = self._prepare(feed, outputs, graph_id=len(self._buffers) + 1)
            self._session.run_with_iobinding(buffers.binding, buffers.options)
            return [_copy(value, device) for value in buffers.outputs]

    def _prepare(self, feed: Feed, outputs: Sequence[str], graph_id: int) -> _Buffers:
        """Buffers for one combination of shapes; a run without capture allocates the outputs and warms up."""
        inputs = {name: _copy(value, "cuda") for name, value in feed.items()}
        first = self._binding(inputs)
        for name in outputs:
            first.bind_output(name, "cuda")
        self._session.run_with_iobinding(first, _options(_UNCAPTURED))
        results = first.get_outputs()
        binding = self._binding(inputs)
        for name, value in zip(outputs, results, strict=True):
            binding.bind_ortvalue_output(name, value)
        return _Buffers(inputs, results, binding, _options(graph_id))

    def _binding(self, inputs: Mapping[str, OrtValue]) -> IOBinding:
        binding = self._session.io_binding()
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        return binding


def _shape(value: Any) -> tuple[int, ...]:
    return value.shape if isinstance(value, np.ndarray) else tuple(value.shape())


def _options(graph_id: int) -> RunOptions:
    options = runtime().RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph_id))
    return options


def _copy(value: Any, device: str) -> OrtValue:
    ort_value = runtime().OrtValue
    if isinstance(value, np.ndarray):
        return ort_value.ortvalue_from_numpy(value, device, 0)
    if device == "cpu":
        return joined([value.numpy()])
    copy = ort_value.ortvalue_from_shape_and_type(value.shape(), value.element_type(), device, 0)
    copy.update_inplace(value)
    return copy
