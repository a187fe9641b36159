"""Planes looked at in parts and changed without RGB: the same as whole pictures and RGB, but for rounding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from flowxfer.faces import Patch, paste_blend, paste_change, paste_crop, patch
from flowxfer.video.io.colours import planes, to_rgb
from flowxfer.video.io.film_frame import FilmFrame
from flowxfer.video.io.planar import add_patch, cut_out, luma
from flowxfer.video.io.stream_format import UPRIGHT, Turn
from tests.faces.photographs import demo_face, photograph, placed
from tests.faces.test_paste import aligned_at

av = pytest.importorskip("av")

HEIGHT, WIDTH = 140, 182
PHOTO = photograph(WIDTH, HEIGHT, (demo_face(), placed(90, 70, 100, 8)))
FORMATS = ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p12le"]
MATRICES = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}
TURNS = [UPRIGHT, Turn(flipped=True), Turn(transposed=True, mirrored=True), Turn(mirrored=True, flipped=True)]


def stored(pixel_format, matrix=5, turn=UPRIGHT, pixels=PHOTO):
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(turn.stored(pixels)), format="rgb24")
    result = picture.reformat(format=pixel_format, dst_colorspace=matrix, threads=1)
    result.colorspace = matrix
    return result


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("pixel_format", [*FORMATS, "gbrp", "nv12", "yuv410p"])
def test_a_part_is_the_part_of_the_whole(pixel_format, turn):
    whole = FilmFrame(0, Fraction(0), stored(pixel_format, turn=turn), turn)
    parts = FilmFrame(0, Fraction(0), stored(pixel_format, turn=turn), turn)
    assert whole.shape == parts.shape == whole.pixels.shape == PHOTO.shape
    for rows, columns in ((slice(31, 77), slice(40, 101)), (slice(0, 5), slice(0, 182)), (slice(99, 140), slice(7, 9))):
        difference = parts.part(rows, columns).astype(int) - whole.part(rows, columns)
        assert np.abs(difference).max() <= 2
    assert parts.grey.shape == PHOTO.shape[:2]
    assert np.corrcoef(parts.grey.ravel(), PHOTO.mean(2).ravel())[0, 1] > 0.95


def test_what_has_no_planes_of_luma_is_looked_at_in_another_way():
    picture = stored("gbrp")
    assert luma(picture) is None
    assert cut_out(picture, (0, 0, 8, 8)) is None
    unchanged = [plane.copy() for plane in planes(picture)]
    aligned = aligned_at(placed(90, 70, 100, 8), 32, PHOTO)
    assert not add_patch(picture, patch(paste_change, aligned, 255 - aligned.crop), (0, 0, WIDTH, HEIGHT), UPRIGHT)
    assert all(np.array_equal(old, new) for old, new in zip(unchanged, planes(picture), strict=True))


@pytest.mark.parametrize("paste", [paste_change, paste_blend, paste_crop])
@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_nothing_added_leaves_every_sample(pixel_format, turn, paste):
    picture, aligned = stored(pixel_format, turn=turn), aligned_at(placed(90, 70, 100, 8), 32, PHOTO)
    before = [plane.copy() for plane in planes(picture)]
    assert add_patch(picture, patch(paste, aligned, aligned.crop), (30, 10, 150, 130), turn)
    assert all(np.array_equal(old, new) for old, new in zip(before, planes(picture), strict=True))


@pytest.mark.parametrize("paste", [paste_change, paste_blend, paste_crop])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_what_is_added_is_what_was_asked_for(pixel_format, turn, matrix, paste):
    """Colours come out as in RGB: the change is smooth, so that coarse chroma holds it."""
    flat = np.full((HEIGHT, WIDTH, 3), (120, 110, 100), np.uint8)
    picture, aligned = stored(pixel_format, matrix, turn, flat), aligned_at(placed(90, 70, 100, 8), 32, flat)
    y, x = (np.mgrid[0:32, 0:32] + 0.5) / 32
    bump = np.exp(-((x - 0.4) ** 2 + (y - 0.6) ** 2) / 0.03)
    decoded = np.rint(flat[0, 0] + bump[..., None] * (60, -30, 25)).astype(np.uint8)
    before = to_rgb(picture)
    assert add_patch(picture, patch(paste, aligned, decoded), (20, 0, 160, HEIGHT), turn)
    added = turn.upright(to_rgb(picture)).astype(int) - turn.upright(before)
    wanted = paste(flat, aligned, decoded).astype(int) - flat
    error = np.abs(added - wanted)
    assert wanted.max() > 50
    assert error.mean() < 0.5
    assert error.max() <= 6


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuvj444p", "yuv444p10le"])
def test_detail_that_is_replaced_goes_as_it_does_in_rgb(pixel_format, turn):
    noise = np.random.default_rng(0).integers(60, 190, (HEIGHT, WIDTH, 3), np.uint8)
    picture, aligned = stored(pixel_format, turn=turn, pixels=noise), aligned_at(placed(90, 70, 100, 8), 32, noise)
    before = turn.upright(to_rgb(picture))
    decoded = (aligned.crop + np.linspace(0, 60, 32).astype(np.uint8)[:, None]).astype(np.uint8)
    assert add_patch(picture, patch(paste_blend, aligned, decoded), (20, 0, 160, HEIGHT), turn)
    error = np.abs(turn.upright(to_rgb(picture)).astype(int) - paste_blend(before, aligned, decoded))
    assert np.abs(paste_blend(before, aligned, decoded).astype(int) - before).max() > 60
    assert error.mean() < 0.6
    assert error.max() <= 4


def test_outside_of_the_box_every_sample_stays():
    picture, aligned = stored("yuv420p"), aligned_at(placed(90, 70, 60, 8), 32, PHOTO)
    before = [plane.copy() for plane in planes(picture)]
    inverted = 255 - 2 * aligned.crop.astype(np.float32)
    assert add_patch(
        picture, Patch(aligned, inverted, None, lambda x, y: np.ones_like(x + y)), (70, 50, 110, 90), UPRIGHT
    )
    for old, new, step in zip(before, planes(picture), (1, 2, 2), strict=True):
        changed = np.argwhere(old != new)
        assert len(changed)
        assert (changed.min(0) >= (50 // step, 70 // step)).all()
        assert (changed.max(0) < (90 // step, 110 // step)).all()
