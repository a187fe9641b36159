"""What a graph is written from: the folded arrays of a Glow, wherever they come from.

``unit`` is what 1.0 is in the state's units, a power of two; see ``folding``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flowxfer.bundle.config import GlowConfig
from flowxfer.glow.model import Glow

from .folding import Affine, Array, Array32, Net, fold_net, fold_prior, fold_split, fold_step

__all__ = ["Folded", "FoldedGlow"]


class Folded(Protocol):
    """The folded arrays of one model."""

    @property
    def config(self) -> GlowConfig:
        """The model's architecture."""

    def step(self, level: int, index: int) -> Affine:
        """A step's ActNorm and 1x1 convolution, for a state in natural units."""

    def net(self, level: int, index: int, unit: float) -> Net:
        """A step's coupling net."""

    def split(self, level: int, unit: float) -> tuple[Array32, Array32]:
        """A split's convolution, its weights and its bias."""

    def prior(self) -> tuple[Array, Array]:
        """The top prior's mean and log standard deviation, each (C, H·W), in natural units."""


@dataclass(frozen=True)
class FoldedGlow:
    """The arrays of a Glow, folded when they are asked for."""

    model: Glow

    @property
    def config(self) -> GlowConfig:
        """The model's architecture."""
        return self.model.config

    def step(self, level: int, index: int) -> Affine:
        """A step's ActNorm and 1x1 convolution, for a state in natural units."""
        return fold_step(self.model.steps(level)[index])

    def net(self, level: int, index: int, unit: float) -> Net:
        """A step's coupling net."""
        size = self.config.image_size >> (level + 1)
        return fold_net(self.model.steps(level)[index], size, size, unit)

    def split(self, level: int, unit: float) -> tuple[Array32, Array32]:
        """A split's convolution, its weights and its bias."""
        return fold_split(self.model.split(level), unit)

    def prior(self) -> tuple[Array, Array]:
        """The top prior's mean and log standard deviation, each (C, H·W), in natural units."""
        size = self.config.image_size >> self.config.levels
        return fold_prior(self.model.prior, size, size)
