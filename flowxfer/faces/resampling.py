"""Pixels through a similarity, without aliasing."""

from __future__ import annotations

import math
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowxfer.faces.similarity import Points, Similarity

__all__ = ["corners", "needed", "resample"]

Number = TypeVar("Number", np.uint8, np.float32)
Corner: TypeAlias = NDArray[np.int64]

_REACH = 3  # of Lanczos' kernel, in pixels of the result
# What shrinks to half or less is first averaged over whole blocks of pixels, in a tenth of Lanczos' time. What comes of
# it is turned, twice as fine as the result, which Lanczos then makes.
_GAP = 1.01


def resample(
    picture: NDArray[Number], transform: Similarity, width: int, height: int, *, fineness: int = 2
) -> NDArray[Number]:
    """Show what a similarity makes of a picture.

    Pillow's ``Image.transform`` looks at 16 pixels at most for each that it makes, and so aliases where it shrinks. So
    the scaling is left to ``Image.resize``, whose kernel grows with the step, and only the turn, which neither shrinks
    nor enlarges, to ``transform``. Beyond the picture's border there is its mirror image, as in FFHQ's alignment.

    Args:
        picture: shape (H, W, 3) and uint8, or (H, W) and float32.
        transform: takes the picture's points to the result's.
        width: of the result, in pixels.
        height: likewise.
        fineness: pixels that are turned for one of the result, along each side: at 2 the turn costs little sharpness,
            at 1 half of the time.

    Returns:
        Shape (height, width, 3) or (height, width), of the picture's dtype.
    """
    if 0 in (width, height):
        return np.empty((height, width, *picture.shape[2:]), picture.dtype)
    turned, margin = _density(transform, fineness)
    scale = turned * transform.scale
    back = transform.inverse @ Similarity(1, complex(-margin, -margin))
    wide, high = width + 2 * margin, height + 2 * margin
    region, corner = _mirrored_region(picture, *_bounds(transform, width, height, fineness))
    rows, columns = (math.floor(length * scale) for length in region.shape[:2])
    box = (0, 0, columns / scale, rows / scale)
    scaled = Image.fromarray(region).resize((columns, rows), Image.Resampling.LANCZOS, box, reducing_gap=_GAP)
    # Pillow wants the way back: from the finely drawn result to the scaled region.
    turn = Similarity(scale, -scale * corner) @ back @ Similarity(1 / turned)
    a, b, shift = turn.factor.real, turn.factor.imag, turn.shift
    drawn = scaled.transform(
        (math.ceil(wide * turned), math.ceil(high * turned)),
        Image.Transform.AFFINE,
        (a, -b, shift.real, b, a, shift.imag),
        Image.Resampling.BILINEAR,
    )
    edge = turned * margin
    inner = (edge, edge, edge + turned * width, edge + turned * height)
    # What was turned small, because it is enlarged, is smooth by now.
    last = Image.Resampling.LANCZOS if turned >= 1 else Image.Resampling.BICUBIC
    return np.array(drawn.resize((width, height), last, inner), picture.dtype)


def corners(width: float, height: float) -> Points:
    """List the four corners of a rectangle at the origin, shape (4, 2), clockwise."""
    return np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)


def needed(shape: tuple[int, ...], transform: Similarity, width: int, height: int) -> tuple[slice, slice]:
    """Tell which rows and columns of a picture :func:`resample` looks at; all where its mirror image is needed."""
    (left, top), (right, bottom) = _bounds(transform, width, height, 2)
    if left < 0 or top < 0 or right > shape[1] or bottom > shape[0]:
        return slice(0, shape[0]), slice(0, shape[1])
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _density(transform: Similarity, fineness: float) -> tuple[float, int]:
    """Tell how many pixels are turned for one of the result, and by how much the result is made larger for it."""
    turned = min(fineness, 2 / transform.scale)  # two pixels for one of the picture lose no sharpness
    return turned, math.ceil(_REACH / min(1, turned))


def _bounds(transform: Similarity, width: int, height: int, fineness: float) -> tuple[Corner, Corner]:
    """Find the first column and row that are needed, and those that are not any more."""
    turned, margin = _density(transform, fineness)
    back = transform.inverse @ Similarity(1, complex(-margin, -margin))
    outline = back(corners(width + 2 * margin, height + 2 * margin))
    reach = math.ceil(_REACH * max(1, 1 / (turned * transform.scale))) + 1
    return np.floor(outline.min(0)).astype(np.int64) - reach, np.ceil(outline.max(0)).astype(np.int64) + reach


def _mirrored_region(picture: NDArray[Number], low: Corner, high: Corner) -> tuple[NDArray[Number], complex]:
    """Cut out a region, mirrored where it lies outside; also say where its corner was."""
    if (low >= 0).all() and (high <= picture.shape[1::-1]).all():  # the usual case, three times as fast as indices
        return np.ascontiguousarray(picture[low[1] : high[1], low[0] : high[0]]), complex(*low)
    columns, rows = (_mirrored(np.arange(low[i], high[i]), picture.shape[1 - i]) for i in (0, 1))
    return np.ascontiguousarray(picture[rows[:, None], columns]), complex(*low)


def _mirrored(indices: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    folded = indices % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)
