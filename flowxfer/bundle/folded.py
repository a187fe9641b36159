"""A Glow as the fewest arrays that compute the same: what an engine or a graph is written from.

``unit`` is what 1.0 is in the state's units, a power of two. :mod:`flowxfer.export.folding` has a model's arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from flowxfer.bundle.config import GlowConfig

Array = npt.NDArray[np.float64]
Array32 = npt.NDArray[np.float32]

# States up to 256 fit float32 on this grid exactly; float64 loses 1e-10 of it on the way, so a rounding seldom flips.
GRID = 2.0**16

# Float64 numbers of this size lie 1 / GRID apart, so adding it and taking it away again rounds to that.
ROUNDER = 1.5 * 2.0**52 / GRID

__all__ = ["GRID", "ROUNDER", "Affine", "Array", "Array32", "Folded", "Net"]


@dataclass(frozen=True)
class Affine:
    """The map ``y = matrix @ x + bias`` of the channels."""

    matrix: Array
    bias: Array

    def inverse(self) -> Affine:
        """The map back."""
        inverse: Array = np.linalg.inv(self.matrix)  # type: ignore[assignment]
        return Affine(inverse, -inverse @ self.bias)

    def after(self, first: Affine) -> Affine:
        """The map that applies ``first``, then this one."""
        return Affine(self.matrix @ first.matrix, self.matrix @ first.bias + self.bias)


@dataclass(frozen=True)
class Net:
    """A coupling net, float32; the input's last channel is the constant 1.

    Shapes: ``conv1`` (width, n + 1, 3, 3), ``bias1`` (width,), ``conv2`` (width, width, 1, 1), ``bias2`` (width,),
    ``conv3`` (out, width, 3, 3), ``map3`` (1, out, H, W).
    """

    conv1: Array32
    bias1: Array32
    conv2: Array32
    bias2: Array32
    conv3: Array32
    map3: Array32


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
