"""How a film's pictures are stored and shown: what has to be the same in the film that is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from flowxfer.video.io.frames import Box
from flowxfer.video.io.light import NO_LIGHT, Light

__all__ = ["PROGRESSIVE", "UPRIGHT", "Look", "Turn"]

PROGRESSIVE = 1  # AVFieldOrder
_SQUARE = Fraction(1, 100)

Number = TypeVar("Number", np.uint8, np.float32)


@dataclass(frozen=True)
class Turn:
    """A quarter turn or a mirroring, as a display matrix tells players to do: one of the eight that keep pixels whole.

    Attributes:
        transposed: rows become columns first.
        mirrored: then left and right change places.
        flipped: then top and bottom do.
        matrix: the nine numbers that say so in the container; None for pictures that are stored upright.
    """

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False
    matrix: tuple[int, ...] | None = None

    @classmethod
    def from_matrix(cls, matrix: tuple[int, ...]) -> Turn:
        """Read FFmpeg's display matrix (a, b, u, c, d, v, x, y, w): x' = ax + cy + …, y' = bx + dy + …."""
        a, b, _, c, d = matrix[:5]
        transposed = abs(b) + abs(c) > abs(a) + abs(d)
        across, down = (c, b) if transposed else (a, d)
        turn = cls(transposed, across < 0, down < 0, matrix)
        return turn if turn != cls(matrix=matrix) else UPRIGHT

    @property
    def is_rotation(self) -> bool:
        """Whether nothing is mirrored."""
        return (self.transposed + self.mirrored + self.flipped) % 2 == 0

    def upright(self, stored: NDArray[Number]) -> NDArray[Number]:
        """Turn a stored picture, shape (H, W, 3) or (H, W)."""
        if not (self.transposed or self.mirrored or self.flipped):
            return stored
        picture = stored.swapaxes(0, 1) if self.transposed else stored
        return np.ascontiguousarray(picture[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1])

    def stored(self, upright: NDArray[Number]) -> NDArray[Number]:
        """Turn an upright picture back."""
        if not (self.transposed or self.mirrored or self.flipped):
            return upright
        picture = upright[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]
        return np.ascontiguousarray(picture.swapaxes(0, 1) if self.transposed else picture)

    def stored_box(self, box: Box, height: int, width: int) -> Box:
        """Tell where a box of the upright picture of that size is in the stored one."""
        left, top, right, bottom = box
        if self.mirrored:
            left, right = width - right, width - left
        if self.flipped:
            top, bottom = height - bottom, height - top
        return (top, left, bottom, right) if self.transposed else (left, top, right, bottom)

    def upright_box(self, box: Box, height: int, width: int) -> Box:
        """Tell where a box of the stored picture of that size is in the upright one."""
        left, top, right, bottom = box
        if self.transposed:
            left, top, right, bottom, height, width = top, left, bottom, right, width, height
        if self.mirrored:
            left, right = width - right, width - left
        if self.flipped:
            top, bottom = height - bottom, height - top
        return left, top, right, bottom

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Turn a size, of the stored picture or of the upright one."""
        return (width, height) if self.transposed else (height, width)


UPRIGHT = Turn()


@dataclass(frozen=True)
class Look:
    """What a source's pictures are; numbers without a unit are FFmpeg's.

    Attributes:
        height: of the stored pictures, in pixels.
        width: likewise.
        rate: average frames per second.
        time_base: seconds of a tick; every frame's time is a whole number of them.
        pixel_format: such as ``"yuv420p"``; ``"rgb24"`` where there is no native picture.
        turn: what makes the stored pictures upright.
        aspect: width of a pixel over its height; None if nobody says.
        matrix: of the colours, AVColorSpace.
        range: AVColorRange.
        primaries: AVColorPrimaries.
        transfer: AVColorTransferCharacteristic.
        fields: which field of an interlaced picture comes first, AVFieldOrder; 1 where pictures are whole.
        light: what HDR says of its pictures.
        transparent: whether the first picture is, somewhere.
    """

    height: int
    width: int
    rate: Fraction
    time_base: Fraction
    pixel_format: str = "rgb24"
    turn: Turn = UPRIGHT
    aspect: Fraction | None = None
    matrix: int = 2
    range: int = 0
    primaries: int = 2
    transfer: int = 2
    fields: int = PROGRESSIVE
    light: Light = NO_LIGHT
    transparent: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the upright pictures."""
        return self.turn.size(self.height, self.width)

    @property
    def is_squeezed(self) -> bool:
        """Whether pixels are not square, by more than anybody sees."""
        return self.aspect is not None and abs(self.aspect - 1) > _SQUARE

    @property
    def shown(self) -> Look:
        """The look of the pictures with square pixels, none of which is narrower or lower than the stored one was."""
        if not self.is_squeezed or self.aspect is None:
            return self
        if self.aspect > 1:
            return replace(self, width=round(self.width * self.aspect), aspect=None)
        return replace(self, height=round(self.height / self.aspect), aspect=None)

    def stored_box(self, box: Box) -> Box:
        """Tell where a box of the upright picture with square pixels is in the stored one, whole pixels around it."""
        shown = self.shown
        left, top, right, bottom = self.turn.stored_box(box, *shown.size)
        across, down = Fraction(self.width, shown.width), Fraction(self.height, shown.height)
        return (
            max(0, floor(left * across)),
            max(0, floor(top * down)),
            min(self.width, ceil(right * across)),
            min(self.height, ceil(bottom * down)),
        )
