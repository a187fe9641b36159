"""Rotation, scale and shift in one: the map between a picture and an aligned crop."""

from __future__ import annotations

import cmath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from flowxfer.errors import InputError

__all__ = ["Points", "Similarity"]

Points: TypeAlias = NDArray[np.float64]
"""Positions (..., 2), x to the right and y down, in pixels; the centre of the first pixel is at (.5, .5)."""


@dataclass(frozen=True)
class Similarity:
    """The map ``p → factor · p + shift`` of points taken as complex numbers ``x + iy``.

    A complex factor is a rotation and a scale, so that composing and inverting are the school's rules for lines.

    Attributes:
        factor: its modulus is the scale, its argument the rotation.
        shift: where the origin goes.
    """

    factor: complex = 1
    shift: complex = 0

    @classmethod
    def between(
        cls, sources: Points | Sequence[Sequence[float]], goals: Points | Sequence[Sequence[float]]
    ) -> Similarity:
        """Find the one similarity that takes two points to two others.

        Args:
            sources: shape (2, 2).
            goals: shape (2, 2).

        Raises:
            InputError: two sources or two goals are in the same place, or a number is not finite.
        """
        (start, end), (first, second) = _complex(sources), _complex(goals)
        span, goal = complex(end - start), complex(second - first)
        if not (cmath.isfinite(span) and cmath.isfinite(goal)) or span == 0 or goal == 0:
            raise InputError(
                f"expected two different points, finite, on either side, got {np.asarray(sources).tolist()} and "
                f"{np.asarray(goals).tolist()}; no rotation and scale takes one pair to the other"
            )
        factor = goal / span
        return cls(factor, complex(first) - factor * complex(start))

    @property
    def scale(self) -> float:
        """By how much lengths grow."""
        return abs(self.factor)

    @property
    def angle(self) -> float:
        """The rotation in radians, clockwise as the picture is seen, from -π to π."""
        return cmath.phase(self.factor)

    @property
    def inverse(self) -> Similarity:
        """The way back."""
        return Similarity(1 / self.factor, -self.shift / self.factor)

    def __call__(self, points: Points | Sequence[Any]) -> Points:
        """Map points (..., 2)."""
        return _real(self.factor * _complex(points) + self.shift)

    def __matmul__(self, first: Similarity) -> Similarity:
        """Compose: ``(a @ b)(p)`` is ``a(b(p))``."""
        return Similarity(self.factor * first.factor, self.factor * first.shift + self.shift)


def _complex(points: Points | Sequence[Any]) -> NDArray[np.complex128]:
    array = np.asarray(points, np.float64)
    return np.asarray(array[..., 0] + 1j * array[..., 1])


def _real(points: NDArray[np.complex128]) -> Points:
    return np.stack([points.real, points.imag], axis=-1)
