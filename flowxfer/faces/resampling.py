"""Pixels through a similarity, without aliasing."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .similarity import Points, Similarity

__all__ = ["corners", "resample"]

Number = TypeVar("Number", np.uint8, np.float32)

_REACH = 3  # of Lanczos' kernel, in pixels of the result


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
    if transform.scale >= 2:
        fineness = 1  # what is enlarged has no sharpness to lose
    scale = fineness * transform.scale
    back = transform.inverse @ Similarity(1, -_REACH - 1j * _REACH)
    wide, high = width + 2 * _REACH, height + 2 * _REACH
    region, corner = _mirrored_region(picture, back(corners(wide, high)), math.ceil(_REACH * max(1, 1 / scale)) + 1)
    rows, columns = (math.floor(length * scale) for length in region.shape[:2])
    box = (0, 0, columns / scale, rows / scale)
    scaled = Image.fromarray(region).resize((columns, rows), Image.Resampling.LANCZOS, box, reducing_gap=3)
    # Pillow wants the way back: from the finely drawn result to the scaled region.
    turn = Similarity(scale, -scale * corner) @ back @ Similarity(1 / fineness)
    a, b, shift = turn.factor.real, turn.factor.imag, turn.shift
    drawn = scaled.transform(
        (wide * fineness, high * fineness),
        Image.Transform.AFFINE,
        (a, -b, shift.real, b, a, shift.imag),
        Image.Resampling.BILINEAR,
    )
    edge = fineness * _REACH
    inner = (edge, edge, edge + fineness * width, edge + fineness * height)
    return np.array(drawn.resize((width, height), Image.Resampling.LANCZOS, inner), picture.dtype)


def corners(width: float, height: float) -> Points:
    """List the four corners of a rectangle at the origin, shape (4, 2), clockwise."""
    return np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)


def _mirrored_region(picture: NDArray[Number], outline: Points, margin_px: int) -> tuple[NDArray[Number], complex]:
    """Cut out what the outline spans, mirrored where it lies outside; also say where its corner was."""
    low = np.floor(outline.min(0)).astype(np.int64) - margin_px
    high = np.ceil(outline.max(0)).astype(np.int64) + margin_px
    columns, rows = (_mirrored(np.arange(low[i], high[i]), picture.shape[1 - i]) for i in (0, 1))
    return np.ascontiguousarray(picture[rows[:, None], columns]), complex(*low)


def _mirrored(indices: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    folded = indices % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)
