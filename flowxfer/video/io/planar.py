"""Planes of luma and chroma, looked at and changed without a detour by RGB.

Colours go into the planes by a matrix, which is linear: luma at each pixel, chroma at each of its samples. What was
there before is not converted, and so it is not rounded either.
"""

from __future__ import annotations

import re

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from flowxfer.faces import Patch
from flowxfer.video.io.colours import layouts, matrix_of, planes, range_of, whole_samples
from flowxfer.video.io.frames import Box
from flowxfer.video.io.stream_format import Turn

__all__ = ["add_patch", "cut_out", "luma"]

_PLANAR = re.compile(r"yuvj?4(20|22|40|44)p(\d+(le|be))?")  # coarser chroma goes by way of RGB
# Shares of red and blue in luma, by AVColorSpace.
_SHARES = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601
    6: (0.299, 0.114),
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}


def luma(picture: VideoFrame) -> NDArray[np.uint8] | None:
    """Show the brightness of a stored picture, shape (H, W), in its own range; None where it has no luma plane."""
    if not _PLANAR.fullmatch(picture.format.name):
        return None
    plane, bits = planes(picture)[0], picture.format.components[0].bits
    return plane if bits == 8 else (plane >> (bits - 8)).astype(np.uint8)


def cut_out(picture: VideoFrame, box: Box) -> tuple[VideoFrame, Box] | None:
    """Copy a part of a stored picture; None where its planes cannot be cut.

    Args:
        picture: stays as it is.
        box: in its pixels.

    Returns:
        The part, widened to whole chroma samples, and by how many pixels at its left, top, right and bottom.
    """
    if not _PLANAR.fullmatch(picture.format.name):
        return None
    left, top, right, bottom = whole_samples(picture.format.name, box, picture.height, picture.width)
    piece = VideoFrame(right - left, bottom - top, picture.format.name)
    piece.colorspace, piece.color_range = matrix_of(picture), range_of(picture)
    for goal, own, layout in zip(planes(piece), planes(picture), layouts(picture.format.name), strict=True):
        y, x = top // layout.step_y, left // layout.step_x
        goal[...] = own[y : y + goal.shape[0], x : x + goal.shape[1]]
    return piece, (box[0] - left, box[1] - top, right - box[2], bottom - box[3])


def add_patch(picture: VideoFrame, patch: Patch, box: Box, turn: Turn) -> bool:
    """Put a patch into a stored picture, in place; beyond the box, widened to whole chroma samples, nothing moves.

    Args:
        picture: as the decoder gave it, or of another layout.
        patch: for the upright picture.
        box: of the upright picture, all that the patch covers.
        turn: what makes the stored picture upright.

    Returns:
        Whether that was done; it is not where there are no planes of luma and chroma, or nobody knows their matrix.
    """
    shares = _SHARES.get(matrix_of(picture))
    if shares is None or not _PLANAR.fullmatch(picture.format.name):
        return False
    name, size = picture.format.name, (picture.height, picture.width)
    left, top, right, bottom = whole_samples(name, turn.stored_box(box, *turn.size(*size)), *size)
    if left >= right or top >= bottom:
        return True
    picture.make_writable()
    values = _in_planes(patch, shares, range_of(picture), picture.format.components[0].bits)
    steps = [(layout.step_x, layout.step_y) for layout in layouts(name)]
    stored = planes(picture)
    for across, down in dict.fromkeys(steps):
        channels = [index for index, step in enumerate(steps) if step == (across, down)]
        place = left // across, top // down, -(-right // across), -(-bottom // down)
        shown = _layers(patch, values[..., [*channels, *range(3, values.shape[2])]], place, (across, down), turn, size)
        for index, added in zip(channels, shown, strict=False):
            target = stored[index][place[1] : place[3], place[0] : place[2]]
            if patch.share is not None:
                added -= shown[-1] * target
            added += target
            target[...] = np.rint(added, out=added).clip(0, layouts(name)[index].peak, out=added)
    return True


def _in_planes(patch: Patch, shares: tuple[float, float], range_: int, bits: int) -> NDArray[np.float32]:
    """What a patch adds to luma and chroma, and in a fourth channel its share, if it has one: (size, size, 3 or 4)."""
    added = patch.added @ _weights(shares, range_, bits)
    if patch.share is None:
        return added
    black = np.array([0 if range_ == ColorRange.JPEG else 16, 128, 128], np.float32) * (1 << (bits - 8))
    return np.concatenate([added + patch.share[..., None] * black, patch.share[..., None]], 2)


def _weights(shares: tuple[float, float], range_: int, bits: int) -> NDArray[np.float32]:
    """The matrix that takes RGB of 8 bits to luma and chroma, shape (3, 3): a column for each."""
    red, blue = shares
    brightness = np.array([red, 1 - red - blue, blue])
    towards_blue = (np.array([0, 0, 1]) - brightness) / (2 * (1 - blue))
    towards_red = (np.array([1, 0, 0]) - brightness) / (2 * (1 - red))
    if range_ == ColorRange.JPEG:
        scales = np.full(3, ((1 << bits) - 1) / 255)
    else:
        scales = np.array([219, 224, 224]) / 255 * (1 << (bits - 8))
    return np.asarray(np.stack([brightness, towards_blue, towards_red], axis=1) * scales, np.float32)


def _layers(
    patch: Patch,
    values: NDArray[np.float32],
    place: Box,
    steps: tuple[int, int],
    turn: Turn,
    size: tuple[int, int],
) -> list[NDArray[np.float32]]:
    """Show values on the crop in samples of a stored plane, of which each is so many pixels wide and high."""
    (across, down), (left, top, right, bottom) = steps, place
    fine = min(steps)
    box = (left * across, top * down, right * across, bottom * down)
    upright = turn.upright_box(box, *size)
    columns, rows = (upright[2] - upright[0]) // fine, (upright[3] - upright[1]) // fine
    shape = (bottom - top, down // fine, right - left, across // fine)
    shown = map(turn.stored, patch.layers(values, upright[0], upright[1], columns, rows, fine))
    return [layer if across == down else layer.reshape(shape).mean((1, 3), dtype=np.float32) for layer in shown]
