"""A picture that is looked at in parts, so that a film's frame need not become RGB as a whole."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flowxfer.images import Pixels

__all__ = ["Picture", "Plain"]


class Picture(Protocol):
    """What :class:`flowxfer.faces.Tracker` looks at: pixels, and what may be had without all of them."""

    @property
    def pixels(self) -> Pixels:
        """RGB, shape (H, W, 3), uint8; not to be written to."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the pixels."""
        return self.pixels.shape

    @property
    def grey(self) -> NDArray[np.uint8]:
        """How bright it is, shape (H, W), in whatever measure is at hand; not to be written to.

        The green channel, where nothing better is known: it will do in a third of the time that luma takes.
        """
        return self.pixels[..., 1]

    def part(self, rows: slice, columns: slice) -> Pixels:
        """Cut out RGB, shape (rows, columns, 3), uint8; not to be written to. The slices have a start and a stop."""
        return self.pixels[rows, columns]


class Plain(Picture):
    """An array as a :class:`Picture`.

    Args:
        pixels: RGB, shape (H, W, 3), uint8.
    """

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels

    @property
    def pixels(self) -> Pixels:
        """The array."""
        return self._pixels
