"""One training step as one CUDA graph: a GPU is told once what to do in a step, and then only to do it again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = ["Recording"]

WARM_UP = 3  # steps, in which kernels are compiled and chosen and the optimiser makes its state
COMPILED_VARIANTS = 64  # of one function: a level has two directions, with and without gradients


@contextlib.contextmanager
def _fast_arithmetic() -> Iterator[None]:
    """Products in TF32, convolutions by the quickest of cuDNN's ways, kernels for the shapes of every level."""
    from torch import _dynamo

    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32
    matmul.allow_tf32 = True
    try:
        with (
            cudnn.flags(enabled=True, benchmark=True, allow_tf32=True),
            _dynamo.config.patch(cache_size_limit=COMPILED_VARIANTS),
        ):
            yield
    finally:
        matmul.allow_tf32 = before


class Recording:
    """A step that reads its inputs from tensors which stay, and writes into such: recorded at the first call.

    Args:
        step: what is recorded; it runs as it is where there is no GPU.
        hold: a scalar; while it is 1, the step changes neither weights nor what the optimiser knows.
    """

    def __init__(self, step: Callable[[], None], hold: Tensor) -> None:
        self._step = step
        self._hold = hold
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Take a step."""
        if not self._hold.is_cuda:
            self._step()
            return
        self._graph = self._graph or self._record()
        self._graph.replay()

    def _record(self) -> torch.cuda.CUDAGraph:
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(self._hold.device)  # type: ignore[no-untyped-call]
        self._hold.fill_(1)
        with _fast_arithmetic():
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    self._step()
            torch.cuda.current_stream().wait_stream(stream)
            torch.cuda.synchronize()
            with torch.cuda.graph(graph):
                self._step()
        self._hold.fill_(0)
        return graph
