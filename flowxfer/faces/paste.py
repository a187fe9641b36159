"""Faces back into the photograph: what changed in them, the whole crop, or something between.

An invertible model gives its input back to the last bit, so ``decoded − crop`` is the edit and nothing else. Enlarged
and added to the photograph, it leaves every pixel alone where nothing happened: no seam, and no detail lost to the
model's small pictures. But the fine lines of open eyes, say, would stay on closed ones. Pasting the whole crop replaces
the photograph's own pixels by enlarged ones, everywhere. The blend does so only where much changed, and is what is done
where nothing else is asked for: with the bundled model, in pictures of four times its size, it is nearer to the true
picture than the change alone (.33 of the error of doing nothing, on the demo people, in place of .42).

All fade out towards the crop's border, and touch nothing outside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from flowxfer.errors import InputError, ShapeError
from flowxfer.faces.alignment import Aligned
from flowxfer.faces.resampling import corners, resample
from flowxfer.faces.similarity import Similarity
from flowxfer.images import Pixels

__all__ = ["Paste", "Patch", "paste_blend", "paste_change", "paste_crop", "paste_face", "patch"]

Paste: TypeAlias = Callable[[Pixels, Aligned, Pixels], Pixels]
"""Takes the picture, the face that was cut out of it, and its new pixels; returns the new picture."""

Values: TypeAlias = NDArray[np.float32]

Mask: TypeAlias = Callable[[Values, Values], Values]
"""Tells for positions x and y, in widths of the crop, how much of a change is added there, 0 to 1."""

FEATHER = 0.15
"""In what part of the crop's width, on each side, the paste fades out."""

# The oval of a face: its centre and its half axes in widths of the crop; and in what part of these it fades out.
_OVAL, _OVAL_FEATHER = ((0.5, 0.585), (0.335, 0.405)), 0.3

# A change of that many grey levels, around which it is averaged over so many pixels of the crop, is all new picture.
_MUCH, _AROUND_PX = 32, 1.5


class Patch:
    """A face's new look: ``picture + w · (added − share · picture)``, with w from the mask.

    Args:
        aligned: the face as it was cut out.
        added: what is added to the picture's colours, shape (size, size, 3): the change where the picture's own detail
            stays, the whole new colour where that goes.
        share: how much of the picture's own colours goes, shape (size, size); None for nothing.
        mask: how much of all this is done where.
    """

    def __init__(self, aligned: Aligned, added: Values, share: Values | None, mask: Mask) -> None:
        self._aligned, self._mask = aligned, mask
        self.added, self.share = added, share

    def on(self, picture: Pixels) -> Pixels:
        """Put it into a picture, shape (H, W, 3), uint8, which is left as it was."""
        window = _Window.over(picture.shape, self._aligned, self._mask)
        change = window.shown(self.added)
        if self.share is not None:
            change -= window.shown(self.share[..., None]) * picture[window.place]
        result = picture.copy()
        result[window.place] = (picture[window.place] + np.rint(window.support * change)).clip(0, 255)
        return result

    def layers(self, values: Values, left: int, top: int, width: int, height: int, step: int) -> list[Values]:
        """Show values on the crop as they are put into a part of the picture.

        Args:
            values: shape (size, size, K), such as the added colours.
            left: of the part, in pixels.
            top: likewise.
            width: of the result.
            height: likewise.
            step: pixels of the picture for one of the result, along each side.

        Returns:
            K arrays, shape (height, width), float32.
        """
        to_part = Similarity(1 / step, -complex(left, top) / step) @ self._aligned.transform.inverse
        rows, columns = top + step * (np.arange(height) + 0.5), left + step * (np.arange(width) + 0.5)
        support = _support(rows, columns, self._aligned, self._mask)
        return [support * resample(layer, to_part, width, height) for layer in _channels(values)]


def patch(paste: Paste, aligned: Aligned, decoded: Pixels) -> Patch | None:
    """Make the patch that a paste puts into a picture; None for a paste that is none of those here."""
    arguments = paste.keywords if isinstance(paste, partial) and not paste.args else {}
    plain = paste.func if isinstance(paste, partial) and not paste.args else paste
    make = next((make for known, make in _PATCHES.items() if known is plain), None)  # not every paste has a hash
    return make and make(aligned, decoded, **arguments)


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
    return _change(aligned, decoded, feather=feather).on(picture)


def paste_blend(picture: Pixels, aligned: Aligned, decoded: Pixels, *, feather: float = FEATHER) -> Pixels:
    """Add to a picture what changed in its face, and replace its own detail where that is much.

    Arguments, result and errors are those of :func:`paste_change`; here too, no byte changes where nothing did.
    """
    return _blend(aligned, decoded, feather=feather).on(picture)


def paste_face(picture: Pixels, aligned: Aligned, decoded: Pixels) -> Pixels:
    """:func:`paste_blend` within the oval of the face, and neither beside it nor above the brows."""
    return _face(aligned, decoded).on(picture)


def paste_crop(picture: Pixels, aligned: Aligned, decoded: Pixels, *, feather: float = FEATHER) -> Pixels:
    """Lay a face over a picture, with soft edges; a face that is the crop itself leaves the picture as it is.

    Arguments, result and errors are those of :func:`paste_change`.
    """
    return _crop(aligned, decoded, feather=feather).on(picture)


def _change(aligned: Aligned, decoded: Pixels, *, feather: float = FEATHER) -> Patch:
    return Patch(aligned, _difference(aligned, decoded), None, _square(feather))


def _blend(aligned: Aligned, decoded: Pixels, *, feather: float = FEATHER) -> Patch:
    return _blended(aligned, decoded, _square(feather))


def _face(aligned: Aligned, decoded: Pixels) -> Patch:
    return _blended(aligned, decoded, _oval)


def _crop(aligned: Aligned, decoded: Pixels, *, feather: float = FEATHER) -> Patch:
    if not _difference(aligned, decoded).any():  # or the picture would lose the detail that the crop does not have
        return _change(aligned, decoded, feather=feather)
    return Patch(aligned, decoded.astype(np.float32), np.ones(decoded.shape[:2], np.float32), _square(feather))


_PATCHES: dict[Paste, Callable[..., Patch]] = {
    paste_change: _change,
    paste_blend: _blend,
    paste_face: _face,
    paste_crop: _crop,
}


def _blended(aligned: Aligned, decoded: Pixels, mask: Mask) -> Patch:
    change = _difference(aligned, decoded)
    largest = Image.fromarray(np.abs(change).max(axis=2).astype(np.uint8))
    around = np.asarray(largest.filter(ImageFilter.GaussianBlur(_AROUND_PX)), np.float32)
    share = _smooth(around / _MUCH)
    return Patch(aligned, change + share[..., None] * aligned.crop, share, mask)


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
    def over(cls, shape: tuple[int, ...], aligned: Aligned, mask: Mask) -> _Window:
        side = len(aligned.crop)
        outline = aligned.transform.inverse(corners(side, side))
        (left, right), (top, bottom) = (
            (max(0, math.floor(outline[:, axis].min())), min(limit, math.ceil(outline[:, axis].max())))
            for axis, limit in ((0, shape[1]), (1, shape[0]))
        )
        place = slice(top, max(top, bottom)), slice(left, max(left, right))
        to_window = Similarity(1, -complex(left, top)) @ aligned.transform.inverse
        rows, columns = (np.arange(part.start, part.stop) + 0.5 for part in place)
        return cls(place, to_window, _support(rows, columns, aligned, mask)[..., None])

    def shown(self, pixels: Values) -> Values:
        """Take values on the crop, shape (size, size, C), to the window."""
        height, width, _ = self.support.shape
        return np.stack([resample(layer, self.transform, width, height) for layer in _channels(pixels)], axis=2)


def _channels(values: Values) -> Values:
    """(H, W, C) to (C, H, W)."""
    return np.ascontiguousarray(np.moveaxis(values, 2, 0))


def _difference(aligned: Aligned, decoded: Pixels) -> Values:
    """What changed, shape (size, size, 3).

    Raises:
        ShapeError: ``decoded`` is not of the crop's shape, or not uint8.
    """
    if decoded.shape != aligned.crop.shape or decoded.dtype != np.uint8:
        raise ShapeError(
            f"expected uint8 pixels of the crop's shape {aligned.crop.shape}, got {decoded.dtype} {decoded.shape}; "
            "align() at the model's size"
        )
    change: Values = decoded.astype(np.float32) - aligned.crop
    return change


def _support(rows: NDArray[np.floating], columns: NDArray[np.floating], aligned: Aligned, mask: Mask) -> Values:
    """Tell how much of a change each pixel gets, whose centres are in these rows and columns."""
    transform, side = aligned.transform, len(aligned.crop)
    a, b, shift = transform.factor.real, transform.factor.imag, transform.shift
    x = ((a * columns + shift.real) / side).astype(np.float32) - (b / side * rows).astype(np.float32)[:, None]
    y = ((b * columns + shift.imag) / side).astype(np.float32) + (a / side * rows).astype(np.float32)[:, None]
    return mask(x, y)


def _square(feather: float) -> Mask:
    """Cover the crop, but for a border."""
    if not 0 < feather <= 0.5:
        raise InputError(f"expected a feather above 0 and up to 0.5 of the crop's width, got {feather}")

    def ramp(position: Values) -> Values:
        inside = np.abs(position - np.float32(0.5))
        inside *= np.float32(-1 / feather)
        inside += np.float32(0.5 / feather)
        return _smooth(inside)

    return lambda x, y: ramp(x) * ramp(y)


def _oval(x: Values, y: Values) -> Values:
    """Cover the face, but for its outline."""
    (centre_x, centre_y), (half_x, half_y) = _OVAL
    across, down = (x - np.float32(centre_x)) / np.float32(half_x), (y - np.float32(centre_y)) / np.float32(half_y)
    return _smooth((1 - np.sqrt(across * across + down * down)) / np.float32(_OVAL_FEATHER))


def _smooth(ramp: NDArray[np.floating]) -> Values:
    """Go from 0 at 0 to 1 at 1, level at both ends and beyond."""
    x = np.asarray(ramp, np.float32).clip(0, 1)
    result: Values = np.float32(3) - x - x
    x *= x
    result *= x
    return result
