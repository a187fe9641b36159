"""A bundle in PyTorch, behind the calls of :class:`flowxfer.engines.ort.session.Session`."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowxfer.bundle import PRECISIONS, Bundle, LatentKind
from flowxfer.bundle.unfolding import FoldedBundle
from flowxfer.engines.batching import DEFAULT_BATCH_SIZE, Batched, bucket
from flowxfer.engines.options import EngineOptions
from flowxfer.engines.torch.cuda_graphs import Graphed
from flowxfer.engines.torch.flow import Flow
from flowxfer.errors import InputError, ProviderError
from flowxfer.latents import check_finite
from flowxfer.types import Array, Images

__all__ = ["TorchChunk", "TorchEngine"]


@dataclass(frozen=True)
class TorchChunk:
    """Latents of one batch on the device: float64, (count, H, W, C) for each level."""

    values: tuple[Tensor, ...]

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.values[0])

    def levels(self) -> list[Array]:
        """The samples of each level, (count, C, H, W), copied to the host."""
        return [value.permute(0, 3, 1, 2).contiguous().cpu().numpy() for value in self.values]


class TorchEngine(Batched):
    """Runs a bundle in PyTorch; safe to call from several threads.

    On a GPU batches are padded to powers of two, so that few shapes occur. On a CPU a batch is not shared out in lanes,
    as ONNX Runtime's is: Python's lock between the small operations costs more than they save.

    Args:
        bundle: one with float32 nets, whose arrays are read from its graphs.
        options: how to run it: in an exact precision, on ``cuda`` or ``cpu``; ``threads`` are PyTorch's, for this
            thread and those that begin to use it later.

    Raises:
        BundleError: the bundle's nets are narrower than float32.
        InputError: the precision is not an exact one.
        ProviderError: the device is not there.
    """

    def __init__(self, bundle: Bundle, options: EngineOptions = EngineOptions()) -> None:  # noqa: B008  # it is frozen
        precision = options.precision or bundle.manifest.precision
        exact = [name for name, (state, _) in PRECISIONS.items() if state == "float64"]
        if precision not in exact:
            raise InputError(f'expected one of {", ".join(exact)} for engine="torch", got {precision}')
        self.device = _device(options.providers)
        if options.cuda_graphs and self.device.type == "cpu":
            raise ProviderError("expected a GPU that PyTorch can use for CUDA graphs, got the CPU")
        self.providers: tuple[str, ...] = (f"torch-{self.device.type}",)
        self.numerics = f"{precision}, torch on {self.device.type}"
        super().__init__(options.batch_size or DEFAULT_BATCH_SIZE[self.device.type])
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self._kind: LatentKind = bundle.manifest.latents
        self._flow = Flow(FoldedBundle(bundle), precision, self.device)
        self._encode: Callable[..., Any] = self._flow.encode
        self._decode: Callable[..., Any] = self._flow.decode
        if self.device.type == "cpu":
            _keep_freed_memory()
        if options.cuda_graphs:
            self._encode, self._decode = Graphed(self._encode), Graphed(self._decode)

    def encode(self, images: Images, bin_width: int) -> list[TorchChunk]:
        """Map images (N, S, S, 3) to latents on the device."""
        width = self._scalar(bin_width)

        def run(part: slice) -> TorchChunk:
            pixels = torch.from_numpy(np.ascontiguousarray(images[part])).to(self.device)
            latents = self._encode(self._padded(pixels), width, self._kind)
            if self.device.type == "cpu":
                check_finite(z.numpy() for z in latents)
            return TorchChunk(tuple(z[: part.stop - part.start] for z in latents))

        return list(self._batches(len(images), run))

    def decode(
        self,
        z: Sequence[TorchChunk],
        direction: Sequence[TorchChunk],
        alpha: Array,
        bin_width: int,
        kind: LatentKind,
    ) -> Iterator[Images]:
        """Map ``z + alpha · direction`` to images, a batch at a time; see :meth:`Engine.decode`."""
        width, targets, directions = self._scalar(bin_width), _joined(z), _joined(direction)
        levels = len(targets)
        strengths = torch.from_numpy(np.broadcast_to(alpha, (len(alpha), levels)).astype(np.float64)).to(self.device)

        def run(part: slice) -> Images:
            edited = [
                _rows(target, part) + strengths[part, level, None, None, None] * _rows(change, part)
                for level, (target, change) in enumerate(zip(targets, directions, strict=True))
            ]
            images = self._decode([self._padded(level) for level in edited], width, kind)
            result: Images = images[: part.stop - part.start].cpu().numpy()
            return result

        return self._batches(len(alpha), run)

    def upload(self, levels: Sequence[Array]) -> list[TorchChunk]:
        """Latents of the host, (N, C, H, W) for each level, on the device."""
        rows = (np.ascontiguousarray(level.transpose(0, 2, 3, 1), np.float64) for level in levels)
        return [TorchChunk(tuple(torch.from_numpy(level).to(self.device) for level in rows))]

    @torch.inference_mode()
    def linear(self, weights: Array, chunks: Sequence[TorchChunk]) -> TorchChunk:
        """Linear combinations of samples; see :meth:`Engine.linear`."""
        matrix = torch.from_numpy(np.asarray(weights, np.float64)).to(self.device)
        return TorchChunk(
            tuple((matrix @ level.flatten(1)).view(-1, *level.shape[1:]) for level in _joined(chunks)),
        )

    def _scalar(self, value: int) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device=self.device)

    def _padded(self, batch: Tensor) -> Tensor:
        """The batch, with its last sample repeated up to a power of two on a GPU."""
        missing = 0 if self.device.type == "cpu" else bucket(len(batch), self.batch_size) - len(batch)
        return torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])]) if missing else batch


def _device(names: Sequence[str] | None) -> torch.device:
    if names is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not names or names[0] not in ("cpu", "cuda"):
        raise ProviderError(f'expected "cpu" or "cuda" for engine="torch", got {list(names)}')
    if names[0] == "cuda" and not torch.cuda.is_available():
        raise ProviderError("expected a GPU that PyTorch can use, but it sees none; take providers=['cpu']")
    return torch.device(names[0])


def _joined(chunks: Sequence[TorchChunk]) -> list[Tensor]:
    return [torch.cat(level) for level in zip(*(chunk.values for chunk in chunks), strict=True)]


def _rows(level: Tensor, part: slice) -> Tensor:
    """Samples ``part``, or the one that stands for all."""
    return level if len(level) == 1 else level[part]


@cache
def _keep_freed_memory() -> None:
    """Let glibc keep what a run frees for the next, as ONNX Runtime's arena does.

    By default it gives large blocks back to the system at once and fetches them again at the next convolution, page by
    page, which can take longer than the convolution.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            mallopt(parameter, 1 << 30)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
