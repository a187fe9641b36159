"""Pictures of results: labelled strips, tables, contact sheets and animated GIFs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

from flowxfer.errors import InputError
from flowxfer.images import Pixels
from flowxfer.provenance import Mark, marking

__all__ = ["Pictures", "gif", "sheet", "strip", "table"]

Pictures: TypeAlias = "Sequence[Pixels] | Pixels"
"""RGB pictures, each of shape (S, S, 3), uint8; an array (N, S, S, 3) is N of them."""

_PAPER = (255, 255, 255)
_INK = (32, 33, 36)
_FAINT_INK = (95, 99, 104)
_CELL_PX = 128  # smaller faces are enlarged to at least this, or they say nothing on today's screens


def strip(images: Pictures, labels: Sequence[str]) -> Image.Image:
    """Put pictures side by side, each with its label under it.

    Args:
        images: RGB, each of shape (S, S, 3), uint8; those smaller than 128 px are enlarged by a whole factor.
        labels: one for each picture; cut short where it is wider than its picture.

    Raises:
        InputError: there is no picture, or not one label for each.
    """
    return sheet(images, labels, columns=max(1, len(images)))


def sheet(images: Pictures, labels: Sequence[str] = (), *, columns: int | None = None) -> Image.Image:
    """Lay pictures out in rows, each with its label under it where there are labels.

    Args:
        images: RGB, each of shape (H, W, 3), uint8.
        labels: one for each picture, or none.
        columns: pictures in a row; by default as makes the sheet about square.

    Raises:
        InputError: there is no picture, or labels that are not one for each.
    """
    if not len(images) or (labels and len(labels) != len(images)):
        raise InputError(f"expected pictures and a label for each, got {len(images)} pictures, {len(labels)} labels")
    columns = columns or math.ceil(math.sqrt(len(images)))
    cells = [_cell(image) for image in images]
    wide, high = (max(cell.size[axis] for cell in cells) for axis in (0, 1))
    font, gap = _font(wide), max(2, wide // 32)
    line = _line_height(font) + gap if labels else 0
    rows = math.ceil(len(cells) / columns)
    width, height = columns * (wide + gap) + gap, rows * (high + gap + line) + gap
    page = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(page)
    for index, cell in enumerate(cells):
        x, y = gap + index % columns * (wide + gap), gap + index // columns * (high + gap + line)
        page.paste(cell, (x, y))
        if labels:
            draw.text((x + wide / 2, y + high + gap), _fit(labels[index], font, wide), _INK, font, anchor="ma")
    return page


def table(rows: Sequence[Pictures], groups: Mapping[str, Sequence[str]]) -> Image.Image:
    """Lay pictures out in a table whose columns stand in groups, with a heading over each group and each column.

    Args:
        rows: RGB pictures, each of shape (S, S, 3), uint8; every row has a picture for each column.
        groups: the headings of each group's columns, by the heading of the group.

    Raises:
        InputError: there is no row, or one of another length.
    """
    titles = [title for group in groups.values() for title in group]
    if not rows or any(len(row) != len(titles) for row in rows):
        raise InputError(f"expected rows of {len(titles)} pictures, got rows of {[len(row) for row in rows]}")
    cells = [[_cell(image) for image in row] for row in rows]
    side = max(max(cell.size) for row in cells for cell in row)
    font, gap = _font(side), max(2, side // 32)
    line = _line_height(font) + gap
    top, step, between = 2 * line + gap, side + gap, 3 * gap
    width = gap + len(titles) * step + (len(groups) - 1) * between
    page = Image.new("RGB", (width, top + len(rows) * step), _PAPER)
    draw = ImageDraw.Draw(page)
    left, column = gap, 0
    for heading, group in groups.items():
        span = len(group) * step - gap
        draw.text((left + span / 2, gap), _fit(heading, font, span), _INK, font, anchor="ma")
        for title in group:
            draw.text((left + side / 2, gap + line), _fit(title, font, side), _FAINT_INK, font, anchor="ma")
            for index, row in enumerate(cells):
                page.paste(row[column], (left, top + index * step))
            left, column = left + step, column + 1
        left += between
    return page


def gif(images: Pictures, path: Path, mark: Mark | None = None, *, fps: float = 12) -> None:
    """Write pictures as an endless animated GIF that runs there and back, whole or not at all.

    Args:
        images: RGB, each of shape (S, S, 3), uint8; those smaller than 128 px are enlarged by a whole factor.
        path: where to.
        mark: what it says of how it was made; by default nothing.
        fps: pictures a second; GIF counts in hundredths of a second, so it is rounded to those.

    Raises:
        InputError: there is no picture, or ``fps`` is not within 1 to 50.
    """
    if not len(images) or not 1 <= fps <= 50:
        raise InputError(f"expected at least one picture and 1 to 50 fps, got {len(images)} pictures, {fps} fps")
    frames = [_cell(image) for image in images]
    frames += frames[-2:0:-1]  # back without the two ends, which would stand still for twice as long
    # One palette for all: a palette for each frame flickers where nothing moves.
    every = Image.new("RGB", (frames[0].width, frames[0].height * len(images)))
    for index, frame in enumerate(frames[: len(images)]):
        every.paste(frame, (0, index * frame.height))
    palette = every.quantize(256, Image.Quantize.MEDIANCUT)
    shown = [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
    with marking(path, mark) as temporary:
        duration_ms = 10 * round(100 / fps)
        shown[0].save(temporary, "GIF", save_all=True, append_images=shown[1:], duration=duration_ms, loop=0)


def _cell(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    factor = math.ceil(_CELL_PX / max(image.size))
    size = (image.width * factor, image.height * factor)
    return image if factor == 1 else image.resize(size, Image.Resampling.LANCZOS)


def _font(side_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(11.0, side_px / 9))


def _line_height(font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return math.ceil(font.getbbox("Ágjp")[3])


def _fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: int) -> str:
    while len(text) > 1 and font.getlength(text) > width_px:
        text = text.rstrip("…")[:-1] + "…"
    return text
