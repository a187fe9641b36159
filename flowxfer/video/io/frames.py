"""The picture that goes through the pipeline, and the rectangle of it that changed."""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

import numpy as np

from flowxfer.faces import Patch, Picture
from flowxfer.images import Pixels

__all__ = ["Box", "Frame", "New", "shown"]

Box: TypeAlias = "tuple[int, int, int, int]"
"""Left, top, right, bottom in whole pixels of the upright picture; right and bottom are the first that are outside."""

New: TypeAlias = "Pixels | Patch"
"""What a frame becomes: RGB, upright, shape (H, W, 3), uint8; or the patch that goes into it."""


class Frame(Picture):
    """One picture of a film.

    Attributes:
        index: from 0, counted in the chosen range.
        time: when it is shown, in seconds from the beginning of the source.
        pixels: RGB, upright, shape (H, W, 3), uint8; not to be written to.
        native: the decoder's own picture, so that what is not touched is written as it was; None for pictures.
    """

    def __init__(self, index: int, time: Fraction, pixels: Pixels | None, native: object | None = None) -> None:
        self.index, self.time, self.native = index, time, native
        self._pixels = pixels

    @property
    def pixels(self) -> Pixels:
        """The whole picture."""
        assert self._pixels is not None
        return self._pixels


def shown(frame: Frame, new: New) -> Pixels:
    """Tell what a frame becomes, in RGB, shape (H, W, 3), uint8."""
    return new if isinstance(new, np.ndarray) else new.on(frame.pixels)
