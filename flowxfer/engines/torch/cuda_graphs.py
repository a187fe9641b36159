"""CUDA graphs: a whole direction of the flow as one launch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

__all__ = ["Graphed"]

_WARM_UPS = 3  # runs before the recording, in which libraries choose kernels and take their workspaces


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: list[Any]
    outputs: Any

    def replay(self, inputs: list[Any]) -> Any:
        for kept, new in zip(self.inputs, inputs, strict=True):
            if isinstance(kept, Tensor):
                kept.copy_(new)
        self.graph.replay()
        return pytree.tree_map(torch.clone, self.outputs)


class Graphed:
    """Records a function of tensors once for each set of shapes, and replays it.

    Results are copies, so that they outlive the next replay. One replay runs at a time, for they share their memory.

    Args:
        function: takes tensors, lists of them, and constants; launches kernels and never waits for them.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._recordings: dict[tuple[Any, ...], _Recording] = {}
        self._lock = threading.Lock()

    @torch.inference_mode()
    def __call__(self, *arguments: Any) -> Any:
        """Run the function."""
        inputs, structure = pytree.tree_flatten(arguments)
        key = tuple((x.shape, x.dtype) if isinstance(x, Tensor) else x for x in inputs)
        with self._lock:
            if key not in self._recordings:
                self._recordings[key] = self._record(inputs, structure)
            return self._recordings[key].replay(inputs)

    def _record(self, inputs: list[Any], structure: pytree.TreeSpec) -> _Recording:
        kept = [x.clone() if isinstance(x, Tensor) else x for x in inputs]
        arguments = pytree.tree_unflatten(kept, structure)
        # TF32 would be another precision, and a search for the fastest kernel another kernel in every process.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    self._function(*arguments)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                outputs = self._function(*arguments)
        return _Recording(graph, kept, outputs)
