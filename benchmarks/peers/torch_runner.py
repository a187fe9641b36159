"""Contestants that run in PyTorch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from flowxfer.benchmarks.models import ModelFolder
from flowxfer.engines.ort.session_pool import LARGEST
from flowxfer.glow.pixels import from_pixels, to_pixels
from flowxfer.types import Array, Images

from .eager import EagerGlow
from .folded import FoldedGlow, FoldedStep
from .runner import Runner

__all__ = ["Compiled", "Eager", "Folded", "TorchRunner"]


class Flow(Protocol):
    """A module that maps both ways."""

    def encode(self, x: Tensor, /) -> list[Tensor]:
        """Images to latents."""

    def decode(self, latents: list[Tensor], /) -> Tensor:
        """Latents to images."""


class TorchRunner(Runner):
    """A PyTorch module without gradients, fed with uint8 pictures."""

    def __init__(self, model: ModelFolder, threads: int) -> None:
        torch.set_num_threads(threads)
        self._flow = self.flow(model)
        if isinstance(self._flow, nn.Module):
            self._flow.eval()

    def flow(self, model: ModelFolder) -> Flow:
        """The module."""
        raise NotImplementedError

    @torch.inference_mode()
    def encode(self, images: Images) -> list[Tensor]:
        """Encode."""
        return self._flow.encode(from_pixels(torch.from_numpy(images)))

    @torch.inference_mode()
    def decode(self, latents: list[Tensor]) -> Images:
        """Decode."""
        pixels: Images = to_pixels(self._flow.decode(latents)).numpy()
        return pixels

    def column(self, values: Sequence[float]) -> Tensor:
        """As a tensor."""
        return torch.tensor(values)[:, None, None, None]

    def levels(self, latents: Any) -> list[Array]:
        """As arrays."""
        return [np.asarray(z.numpy()) for z in latents]


class Eager(TorchRunner):
    """As published ports write it."""

    def flow(self, model: ModelFolder) -> Flow:
        """Every layer for itself."""
        return EagerGlow(model.glow(), model.manifest.latents)


class InLanes(TorchRunner):
    """A batch in shares, one for each thread, where the library does it: there it helps PyTorch, elsewhere it hurts."""

    def __init__(self, model: ModelFolder, threads: int) -> None:
        super().__init__(model, threads)
        self._pool = ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1))
        self._lanes = threads if model.manifest.image_size <= LARGEST else sys.maxsize

    def encode(self, images: Images) -> list[Tensor]:
        """Encode."""
        if len(images) < self._lanes:
            return super().encode(images)
        parts = self._pool.map(super().encode, np.array_split(images, self._lanes))
        return [torch.cat(level) for level in zip(*parts, strict=True)]

    def decode(self, latents: list[Tensor]) -> Images:
        """Decode."""
        if len(latents[0]) < self._lanes:
            return super().decode(latents)
        shares = zip(*(z.tensor_split(self._lanes) for z in latents), strict=True)
        return np.concatenate(list(self._pool.map(super().decode, map(list, shares))))


class Folded(InLanes):
    """As well as PyTorch can without a compiler."""

    def flow(self, model: ModelFolder) -> Flow:
        """Folded."""
        return FoldedGlow(model.glow(), model.manifest.latents)


class Compiled(TorchRunner):
    """The folded module with every step through torch.compile; steps of one shape share their code."""

    def flow(self, model: ModelFolder) -> Flow:
        """Folded and compiled."""
        torch._dynamo.config.recompile_limit = 256  # a piece of code for each level, direction, batch and thread count
        flow = FoldedGlow(model.glow(), model.manifest.latents)
        for step in flow.modules():
            if isinstance(step, FoldedStep):
                step.forward = torch.compile(step.forward, dynamic=False)  # type: ignore[method-assign]
                step.inverse = torch.compile(step.inverse, dynamic=False)  # type: ignore[method-assign]
        return flow
