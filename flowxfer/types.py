"""The types that every stage speaks of, written once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Alpha", "Array", "Chunk", "Images"]

Images: TypeAlias = npt.NDArray[np.uint8]
"""RGB, (N, H, W, 3) or one picture (H, W, 3), uint8."""

Array: TypeAlias = npt.NDArray[np.floating[Any]]
"""Floating-point numbers of any precision."""

Alpha: TypeAlias = float | Sequence[float]
"""Strength along a direction: one number, or one for each level, finest first; 0 changes nothing."""


class Chunk(Protocol):
    """Latents of one batch, where the engine keeps them."""

    @property
    def count(self) -> int:
        """Number of samples."""

    def levels(self) -> list[Array]:
        """The samples of each level, (count, C, H, W), on the host."""
