"""Faces back into the photograph: what changed in them, the whole crop, or something between.

An invertible model gives its input back to the last bit, so ``decoded − crop`` is the edit and nothing else. Enlarged
and added to the photograph, it leaves every pixel alone where nothing happened: no seam, and no detail lost to the
model's small pictures. But the fine lines of closed lips, say, stay on an opened mouth. Pasting the whole crop replaces
the photograph's own pixels by enlarged ones, everywhere. The blend does so only where much changed.

All fade out towards the crop's border, and touch nothing outside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from flowxfer.errors import InputError, ShapeError
from flowxfer.images import Pixels

from .alignment import Aligned
from .resampling import corners, resample
from .similarity import Similarity

__all__ = ["Paste", "paste_blend", "paste_change", "paste_crop"]

Paste: TypeAlias = Callable[[Pixels, Aligned, Pixels], Pixels]
"""Takes the picture, the face that was cut out of it, and its new pixels; returns the new picture."""

Values: TypeAlias = NDArray[np.float32]

FEATHER = 0.15
"""In what part of the crop's width, on each side, the paste fades out."""

# A change of that many grey levels, around which it is averaged over so many pixels of the crop, is all new picture.
_MUCH, _AROUND_PX = 32, 1.5


def paste_change(picture: Pixels, aligned: Aligned, decoded: Pixels, *, feather: float = FEATHER) -> Pixels:
    """Add to a picture what changed in its face; where nothing did, no byte of it changes.

    Args:
        picture: RGB, shape (H, W, 3), uint8.
        aligned: the face as it was cut out of the picture.
        decoded: the face as it shall be, shape (size, size, 3), uint8.
        feather: in what part of the crop's width the change fades out, above 0 to .5.

    Returns:
        The new picture; the old one is left as it was.

    Raises:
        ShapeError: ``decoded`` is not of the crop's shape, or not uint8.
        InputError: the feather is out of its range.
    """
    window = _Window.over(picture, aligned, decoded, feather)
    return window.added(picture, window.shown(_change(aligned, decoded)))


def paste_blend(picture: Pixels, aligned: Aligned, decoded: Pixels, *, feather: float = FEATHER) -> Pixels:
    """Add to a picture what changed in its face, and replace its own detail where that is much.

    Arguments, result and errors are those of :func:`paste_change`; here too, no byte changes where nothing did.
    """
    window = _Window.over(picture, aligned, decoded, feather)
    change = _change(aligned, decoded)
    largest = Image.fromarray(np.abs(change).max(axis=2).astype(np.uint8))
    around = np.asarray(largest.filter(ImageFilter.GaussianBlur(_AROUND_PX)), np.float32)
    share = window.shown(_smooth(around[..., None] / _MUCH)).clip(0, 1)
    replacement = window.shown(decoded.astype(np.float32)) - picture[window.place]
    return window.added(picture, (1 - share) * window.shown(change) + share * replacement)


def paste_crop(picture: Pixels, aligned: Aligned, decoded: Pixels, *, feather: float = FEATHER) -> Pixels:
    """Lay a face over a picture, with soft edges; a face that is the crop itself leaves the picture as it is.

    Arguments, result and errors are those of :func:`paste_change`.
    """
    window = _Window.over(picture, aligned, decoded, feather)
    if np.array_equal(decoded, aligned.crop):
        return picture.copy()  # or the picture would lose the detail that the crop does not have
    return window.added(picture, window.shown(decoded.astype(np.float32)) - picture[window.place])


class _Window(NamedTuple):
    """The part of a picture that a crop covers.

    Attributes:
        place: rows and columns of the picture.
        transform: from the crop's points to the window's.
        support: how much of the paste each pixel gets, shape (height, width, 1), float32: 1 in the middle of the crop,
            0 at its border and outside.
    """

    place: tuple[slice, slice]
    transform: Similarity
    support: Values

    @classmethod
    def over(cls, picture: Pixels, aligned: Aligned, decoded: Pixels, feather: float) -> _Window:
        if decoded.shape != aligned.crop.shape or decoded.dtype != np.uint8:
            raise ShapeError(
                f"expected uint8 pixels of the crop's shape {aligned.crop.shape}, got {decoded.dtype} {decoded.shape}; "
                "align() at the model's size"
            )
        if not 0 < feather <= 0.5:
            raise InputError(f"expected a feather above 0 and up to 0.5 of the crop's width, got {feather}")
        side = len(aligned.crop)
        outline = aligned.transform.inverse(corners(side, side))
        (left, right), (top, bottom) = (
            (max(0, math.floor(outline[:, axis].min())), min(limit, math.ceil(outline[:, axis].max())))
            for axis, limit in ((0, picture.shape[1]), (1, picture.shape[0]))
        )
        place = slice(top, max(top, bottom)), slice(left, max(left, right))
        to_window = Similarity(1, -complex(left, top)) @ aligned.transform.inverse
        return cls(place, to_window, _support(place, aligned.transform, side, feather))

    def shown(self, pixels: Values) -> Values:
        """Take values on the crop, shape (size, size, C), to the window."""
        height, width, _ = self.support.shape
        channels = np.moveaxis(pixels, 2, 0)
        return np.stack([resample(channel, self.transform, width, height) for channel in channels], axis=2)

    def added(self, picture: Pixels, change: Values) -> Pixels:
        """Add a change on the window to the picture, as far as the support goes."""
        result = picture.copy()
        result[self.place] = (picture[self.place] + np.rint(self.support * change)).clip(0, 255)
        return result


def _change(aligned: Aligned, decoded: Pixels) -> Values:
    return decoded.astype(np.float32) - aligned.crop


def _support(place: tuple[slice, slice], transform: Similarity, side: int, feather: float) -> Values:
    rows, columns = (np.arange(part.start, part.stop) + 0.5 for part in place)
    points = transform(np.stack(np.meshgrid(columns, rows), axis=-1)) / side
    return np.asarray(_smooth(np.minimum(points, 1 - points) / feather).prod(axis=-1, keepdims=True))


def _smooth(ramp: NDArray[np.floating]) -> Values:
    """Go from 0 at 0 to 1 at 1, level at both ends and beyond."""
    x = ramp.clip(0, 1)
    return np.asarray(x * x * (3 - 2 * x), np.float32)
