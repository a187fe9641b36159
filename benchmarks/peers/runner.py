"""What every contestant can do, and what those have in common that work on lists of arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from flowxfer.benchmarks.models import ALPHA, ModelFolder
from flowxfer.types import Array, Images

__all__ = ["Runner"]


class Runner(ABC):
    """One way to run a Glow: latents are a list of arrays, one per level, that know ``+``, ``-`` and ``*``.

    Args:
        model: what to run.
        threads: how many it may use; the environment says so too.
    """

    @abstractmethod
    def __init__(self, model: ModelFolder, threads: int) -> None: ...

    @classmethod  # noqa: B027 - most contestants need nothing
    def prepare(cls, model: ModelFolder) -> None:
        """Make the files that it needs, in a process that is not measured."""

    @abstractmethod
    def encode(self, images: Images) -> Any:
        """uint8 (N, S, S, 3) to latents."""

    @abstractmethod
    def decode(self, latents: Any) -> Images:
        """Latents to uint8 (N, S, S, 3)."""

    def direction(self, expression: Any, neutral: Any) -> Any:
        """The difference of two latents of one face."""
        return [a - b for a, b in zip(expression, neutral, strict=True)]

    def edit(self, latents: Any, direction: Any, alphas: Sequence[float]) -> Images:
        """Images of ``latents + alpha · direction``; the latents are one for each alpha, or one for all."""
        alpha = self.column(alphas)
        return self.decode([z + alpha * d for z, d in zip(latents, direction, strict=True)])

    def column(self, values: Sequence[float]) -> Any:
        """Numbers as an array (N, 1, 1, 1) that multiplies latents."""
        return np.array(values, np.float32)[:, None, None, None]

    def transfer(self, images: Images, direction: Any) -> Images:
        """Encode, edit, decode."""
        return self.edit(self.encode(images), direction, [ALPHA] * len(images))

    def sweep(self, image: Images, direction: Any, alphas: Sequence[float]) -> Images:
        """Encode one image, and decode it in many strengths."""
        return self.edit(self.encode(image), direction, alphas)

    def film(self, frames: Images, direction: Any) -> Images:
        """Transfer to frames that come one by one; here they are collected first."""
        return self.transfer(np.stack(list(frames)), direction)

    def levels(self, latents: Any) -> list[Array]:
        """Latents as NumPy arrays."""
        return [np.asarray(z) for z in latents]
