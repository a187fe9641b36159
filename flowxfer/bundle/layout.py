"""Where the channels of a state lie among its rows, and matrices between two such layouts.

A state is (N, rows, H·W). Beside its channels it has rows that are constantly 1, so that one matrix holds an affine
map (homogeneous coordinates) and the coupling nets see where the image ends (see :mod:`flowxfer.export.folding`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowxfer.bundle.folded import Affine, Array

__all__ = ["Layout", "homogeneous"]


@dataclass(frozen=True)
class Layout:
    """Rows of the channels, in order, and rows of the ones."""

    channels: tuple[int, ...]
    ones: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.channels) + len(self.ones)

    @classmethod
    def halves(cls, channels: int) -> Layout:
        """[z1, 1, z2]: inside a level; z1 with its 1 conditions the coupling."""
        half = channels // 2
        return cls((*range(half), *range(half + 1, channels + 1)), (half,))

    @classmethod
    def squeezed(cls, channels: int) -> Layout:
        """[x, 1, 1, 1, 1]: between levels, where squeezing [z1, 1] has made four of each."""
        return cls(tuple(range(channels)), tuple(range(channels, channels + 4)))

    @classmethod
    def pixels(cls) -> Layout:
        """[x, 1]: the squeezed image as it enters."""
        return cls(tuple(range(12)), (12,))


def homogeneous(affine: Affine, source: Layout, target: Layout) -> Array:
    """The (target.rows, source.rows) matrix that applies ``affine`` and carries the ones on."""
    matrix = np.zeros((target.rows, source.rows))
    matrix[np.ix_(target.channels, source.channels)] = affine.matrix
    matrix[list(target.channels), source.ones[0]] = affine.bias
    matrix[list(target.ones), source.ones[0]] = 1
    return matrix
