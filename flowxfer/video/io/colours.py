"""RGB and the planes that films store.

A frame that was edited keeps its own planes and gets only the difference that the edit makes, taken in the planes'
colours: ``plane + planes(new) − planes(old)``. What both conversions round they round alike, so a pixel that did not
change keeps every bit, 10 of them too.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray
from PIL import Image

from flowxfer.errors import VideoError
from flowxfer.images import Pixels
from flowxfer.video.io.frames import Box
from flowxfer.video.io.stream_format import Look

__all__ = [
    "add_change",
    "add_shown_change",
    "as_format",
    "enlarged",
    "from_rgb",
    "is_transparent",
    "layouts",
    "matrix_of",
    "planes",
    "range_of",
    "to_rgb",
    "whole_samples",
]

_PRECISE = (
    Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND
)
_UNSPECIFIED = 2  # AVColorSpace


def to_rgb(picture: VideoFrame) -> Pixels:
    """Convert a stored picture to RGB, shape (H, W, 3), uint8, by its own matrix and range."""
    # swscale's default is faster by 3 ms for 720p, but a level too dark and coarse in its chroma.
    rgb = _converted(
        picture,
        "rgb24",
        src_colorspace=matrix_of(picture),
        src_color_range=range_of(picture),
        dst_color_range=ColorRange.JPEG,
        interpolation=_PRECISE,
    )
    return np.asarray(rgb.to_ndarray(), np.uint8)


def is_transparent(picture: VideoFrame) -> bool:
    """Whether a stored picture is transparent somewhere."""
    if not any(part.is_alpha for part in picture.format.components) and not picture.format.has_palette:
        return False
    return int(np.asarray(_converted(picture, "rgba").to_ndarray(), np.uint8)[..., 3].min()) < 255


def as_format(picture: VideoFrame, look: Look) -> VideoFrame:
    """Convert a stored picture to a look's pixel format; the same object where there is nothing to do.

    Planes of luma and chroma keep their matrix and range, RGB gets the look's.
    """
    if picture.format.name == look.pixel_format:
        return picture
    stored = matrix_of(picture), range_of(picture)
    matrix, range_ = _look_colours(look) if _is_rgb(picture.format) else stored
    return _converted(
        picture,
        look.pixel_format,
        src_colorspace=stored[0],
        dst_colorspace=matrix,
        src_color_range=stored[1],
        dst_color_range=range_,
        interpolation=_PRECISE,
    )


def from_rgb(pixels: Pixels, look: Look) -> VideoFrame:
    """Convert RGB, shape (H, W, 3), uint8, to a look's pixel format, matrix and range."""
    return _from_rgb(pixels, look.pixel_format, *_look_colours(look))


def add_change(picture: VideoFrame, old: Pixels, new: Pixels, box: Box) -> None:
    """Add what changed to a stored picture, in place; beyond the box, widened to whole chroma samples, nothing moves.

    Args:
        picture: as the decoder gave it, or of another layout; its decoder no longer needs it afterwards.
        old: what :func:`to_rgb` made of it, shape (H, W, 3), uint8.
        new: what it shall become, likewise.
        box: where they differ.
    """
    stored = layouts(picture.format.name)
    left, top, right, bottom = whole_samples(picture.format.name, box, picture.height, picture.width)
    if left >= right or top >= bottom:
        return
    matrix, range_ = matrix_of(picture), range_of(picture)
    was, now = (
        planes(_from_rgb(pixels[top:bottom, left:right], picture.format.name, matrix, range_)) for pixels in (old, new)
    )
    picture.make_writable()
    for plane, before, after, layout in zip(planes(picture), was, now, stored, strict=True):
        y, x = top // layout.step_y, left // layout.step_x * layout.numbers
        target = plane[y : y + after.shape[0], x : x + after.shape[1]]
        target[...] = (target.astype(np.int32) + after - before).clip(0, layout.peak)


def add_shown_change(picture: VideoFrame, old: Pixels, new: Pixels, box: Box, look: Look) -> None:
    """Add what changed in a picture as it is shown to the stored one, whose pixels are not square.

    Args:
        picture: likewise as in :func:`add_change`.
        old: upright, with square pixels, shape (H, W, 3), uint8.
        new: what it shall become, likewise.
        box: where they differ.
        look: how the picture is stored.
    """
    place = look.stored_box(box)
    left, top, right, bottom = place
    shown = look.shown
    change = look.turn.stored(new.astype(np.float32) - old)
    across, down = shown.width / look.width, shown.height / look.height
    part = (left * across, top * down, right * across, bottom * down)
    size, stored = (right - left, bottom - top), to_rgb(picture)
    after = stored.copy()
    for channel in range(3):
        layer = Image.fromarray(np.ascontiguousarray(change[..., channel])).resize(
            size, Image.Resampling.BILINEAR, part
        )
        window = after[top:bottom, left:right, channel]
        window[...] = (window + np.rint(np.asarray(layer))).clip(0, 255)
    add_change(picture, stored, after, place)


def whole_samples(pixel_format: str, box: Box, height: int, width: int) -> Box:
    """Widen a box of a stored picture to whole chroma samples, and cut it to the picture."""
    stored = layouts(pixel_format)
    step_x, step_y = max(part.grid_x for part in stored), max(part.step_y for part in stored)
    left, top, right, bottom = box
    return (
        max(0, left) // step_x * step_x,
        max(0, top) // step_y * step_y,
        min(width, -(-right // step_x) * step_x),
        min(height, -(-bottom // step_y) * step_y),
    )


def planes(picture: VideoFrame) -> list[NDArray[Any]]:
    """Show a picture's planes as arrays (rows, numbers); what is written to them is written to the picture."""
    return [
        np.frombuffer(memoryview(plane), layout.dtype).reshape(plane.height, -1)[
            :: -1 if plane.line_size < 0 else 1, : plane.width * layout.numbers
        ]
        for plane, layout in zip(picture.planes, layouts(picture.format.name), strict=True)
    ]


def enlarged(picture: VideoFrame, height: int, width: int) -> VideoFrame:
    """Repeat a picture's last row and column, so that it gets a size that its encoder takes."""
    if (picture.height, picture.width) == (height, width):
        return picture
    larger = VideoFrame(width, height, picture.format.name)
    larger.colorspace, larger.color_range = picture.colorspace, picture.color_range
    for own, wide, layout in zip(planes(picture), planes(larger), layouts(picture.format.name), strict=True):
        rows, columns = own.shape[0], own.shape[1] // layout.numbers
        edges = ((0, wide.shape[0] - rows), (0, wide.shape[1] // layout.numbers - columns), (0, 0))
        wide[...] = np.pad(own.reshape(rows, columns, -1), edges, "edge").reshape(wide.shape)
    return larger


class _Layout(NamedTuple):
    """How a plane stores its samples: numbers a sample, of what type and peak; pixels a sample, and a whole group."""

    dtype: np.dtype[Any]
    numbers: int
    peak: int
    step_x: int
    step_y: int
    grid_x: int


@cache
def layouts(pixel_format: str) -> tuple[_Layout, ...]:
    """Tell how the planes of a pixel format store their samples."""
    side = 64  # divisible by every chroma step that there is
    kind = VideoFormat(pixel_format, side, side)
    count, found = 1 + max(part.plane for part in kind.components), []
    for index in range(count):
        parts = [part for part in kind.components if part.plane == index]
        dtype = np.dtype(np.uint8 if parts[0].bits <= 8 else ">u2" if kind.is_big_endian else "<u2")
        numbers = kind.padded_bits_per_pixel // 8 // dtype.itemsize if count == 1 else len(parts)
        steps = side // parts[0].width, side // parts[0].height, side // min(part.width for part in parts)
        found.append(_Layout(dtype, numbers, (1 << parts[0].bits) - 1, *steps))
    return tuple(found)


def _from_rgb(pixels: Pixels, pixel_format: str, matrix: int, range_: int) -> VideoFrame:
    return _converted(
        VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24"),
        pixel_format,
        dst_colorspace=matrix,
        src_color_range=ColorRange.JPEG,
        dst_color_range=range_,
        interpolation=_PRECISE,
    )


def matrix_of(picture: VideoFrame) -> int:
    """Tell a picture's matrix, AVColorSpace, also where it does not say."""
    return _known_matrix(int(picture.colorspace), picture.height, picture.width)


def _known_matrix(matrix: int, height: int, width: int) -> int:
    """Where nobody says, players take BT.709 for HD and BT.601 below."""
    if matrix != _UNSPECIFIED:
        return matrix
    return Colorspace.ITU709 if width >= 1280 or height > 576 else Colorspace.ITU601


def range_of(picture: VideoFrame) -> int:
    """Tell a picture's range, AVColorRange, also where it does not say."""
    return _known_range(int(picture.color_range), picture.format)


def _known_range(range_: int, pixel_format: VideoFormat) -> int:
    if _is_rgb(pixel_format) or pixel_format.name.startswith("yuvj"):
        return ColorRange.JPEG
    return range_ or ColorRange.MPEG


def _look_colours(look: Look) -> tuple[int, int]:
    matrix = _known_matrix(look.matrix, look.height, look.width)
    return matrix, _known_range(look.range, VideoFormat(look.pixel_format))


def _is_rgb(pixel_format: VideoFormat) -> bool:
    return pixel_format.is_rgb or pixel_format.has_palette


def _converted(picture: VideoFrame, pixel_format: str, **options: int) -> VideoFrame:
    try:
        return picture.reformat(format=pixel_format, threads=1, **options)
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(
            f"expected colours that FFmpeg converts, got {picture.format.name} of matrix {picture.colorspace} and "
            f"cannot make {pixel_format} of it ({error}); convert the film to BT.709 first"
        ) from error
