"""flowxfer itself, through its public interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import numpy as np

from flowxfer import Latents, Transferer
from flowxfer.benchmarks.models import ALPHA, ModelFolder
from flowxfer.engines.ort import session
from flowxfer.types import Array, Images

from .runner import Runner

__all__ = ["Bfloat16", "Exact", "Plain", "Together"]


class Exact(Runner):
    """The bundle as it is shipped: float64 state around float32 nets. A direction is a pair of faces' latents."""

    def __init__(self, model: ModelFolder, threads: int) -> None:
        self._transferer = self.open(model, threads)

    def open(self, model: ModelFolder, threads: int) -> Transferer:
        """The graphs as they are shipped."""
        return Transferer(model.exact, providers=["cpu"], threads=threads)

    def encode(self, images: Images) -> Latents:
        """Encode."""
        return self._transferer.encode(images)

    def decode(self, latents: Latents) -> Images:
        """Decode."""
        return self._transferer.decode(latents)

    def direction(self, expression: Latents, neutral: Latents) -> tuple[Latents, Latents]:
        """Both, for the library takes the difference itself."""
        return expression, neutral

    def edit(self, latents: Latents, direction: tuple[Latents, Latents], alphas: Sequence[float]) -> Images:
        """A transfer of what is encoded already."""
        return self._transferer.transfer(latents, *direction, alphas[0])

    def transfer(self, images: Images, direction: tuple[Latents, Latents]) -> Images:
        """Transfer."""
        return self._transferer.transfer(images, *direction, ALPHA)

    def sweep(self, image: Images, direction: tuple[Latents, Latents], alphas: Sequence[float]) -> Images:
        """Sweep."""
        return self._transferer.sweep(image, *direction, alphas)

    def film(self, frames: Images, direction: tuple[Latents, Latents]) -> Images:
        """Film."""
        return np.stack(list(self._transferer.frames(frames, *direction, ALPHA)))

    def levels(self, latents: Any) -> list[Array]:
        """To the host."""
        return list(latents.levels)


class Plain(Exact):
    """The same with the whole state in float32."""

    def open(self, model: ModelFolder, threads: int) -> Transferer:
        """The graphs in float32."""
        return Transferer(model.fp32, providers=["cpu"], threads=threads)


class Bfloat16(Exact):
    """The bundle in PyTorch: nets in bfloat16, and every pixel still comes back."""

    def open(self, model: ModelFolder, threads: int) -> Transferer:
        """The weights of the graphs."""
        return Transferer(model.exact, engine="torch", precision="exact-bf16", threads=threads)


class Together(Exact):
    """All threads on every operation of a batch."""

    def open(self, model: ModelFolder, threads: int) -> Transferer:
        """The graphs, without lanes."""
        with patch.object(session, "LARGEST", 0):
            return super().open(model, threads)
