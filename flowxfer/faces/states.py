"""What a run remembers in a file, read as if a stranger had written it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["count", "numbers", "pixels"]

_LARGEST = 1e9  # pixels, seconds, scores: whatever is measured here is smaller


def numbers(values: Any, *shape: int) -> NDArray[np.float64]:
    """The numbers of nested lists.

    Args:
        values: from JSON.
        shape: which they have to have; -1 is any length.

    Raises:
        TypeError, ValueError: they are no numbers, too large, or of another shape.
    """
    array = np.array(values, np.float64)
    if len(array.shape) != len(shape) or any(m not in (n, -1) for n, m in zip(array.shape, shape, strict=True)):
        raise ValueError(f"its numbers have the shape {array.shape}, not {shape}")
    if not (np.abs(array) < _LARGEST).all():
        raise ValueError("its numbers are out of range")
    return array


def pixels(values: Any, *shape: int) -> NDArray[np.uint8]:
    """The same of whole numbers from 0 to 255."""
    array = numbers(values, *shape)
    if not np.isin(array, np.arange(256)).all():
        raise ValueError("its pixels are out of range")
    return array.astype(np.uint8)


def count(value: Any) -> int:
    """A whole number from 0.

    Raises:
        ValueError: it is none.
    """
    if type(value) is not int or not 0 <= value < _LARGEST:
        raise ValueError("one of its counts is none")
    return value
