"""A picture that is looked at in parts, so that a film's frame need not become RGB as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flowxfer.images import Pixels

__all__ = ["Picture", "Plain"]


class Picture(Protocol):
    """What :class:`flowxfer.faces.Tracker` looks at."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width and 3."""
        ...

    @property
    def grey(self) -> NDArray[np.uint8]:
        """How bright it is, shape (H, W), in whatever measure is at hand; not to be written to."""
        ...

    def part(self, rows: slice, columns: slice) -> Pixels:
        """Cut out RGB, shape (rows, columns, 3), uint8; not to be written to. The slices have a start and a stop."""
        ...


@dataclass(frozen=True, eq=False)
class Plain:
    """An array as a :class:`Picture`.

    Attributes:
        pixels: RGB, shape (H, W, 3), uint8.
    """

    pixels: Pixels

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the pixels."""
        return self.pixels.shape

    @property
    def grey(self) -> NDArray[np.uint8]:
        """The green channel, which will do in a third of the time."""
        return self.pixels[..., 1]

    def part(self, rows: slice, columns: slice) -> Pixels:
        """A view."""
        return self.pixels[rows, columns]
