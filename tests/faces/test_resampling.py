from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from flowxfer.faces import Similarity
from flowxfer.faces.resampling import resample
from tests.faces.photographs import demo_face

rng = np.random.default_rng(0)
FACE = np.asarray(demo_face())
NOISE = rng.integers(0, 256, (60, 80, 3), np.uint8)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (Similarity(), FACE),
        (Similarity(1, -20 - 10j), FACE[10:, 20:]),
        (Similarity(1j, 256), np.rot90(FACE, -1)),
        (Similarity(-1, 256 + 256j), np.rot90(FACE, 2)),
    ],
)
def test_whole_shifts_and_quarter_turns_keep_the_picture(transform, expected):
    height, width = expected.shape[:2]
    difference = resample(FACE, transform, width, height) - expected.astype(float)
    assert np.sqrt(np.square(difference).mean()) < 1.1


def test_there_and_back_loses_little():
    turn = np.exp(0.3j)
    there = Similarity(turn, 128 + 128j - turn * (128 + 128j) + 100 + 100j)
    ours = resample(resample(FACE, there, 456, 456), there.inverse, 256, 256)
    theirs = plain(plain(FACE, there, 456), there.inverse, 256)
    errors = [np.sqrt(np.square(back - FACE.astype(float)).mean()) for back in (ours, theirs)]
    assert errors[0] < 2.3 < errors[1]


@settings(max_examples=40, deadline=None)
@given(st.floats(0.02, 8), st.floats(-np.pi, np.pi))
def test_every_pixel_shows_the_place_it_came_from(scale, angle):
    # The value of each pixel is its x coordinate, so the result can be read as a map of where it was taken.
    picture = np.tile(np.arange(900, dtype=np.float32) + 0.5, (900, 1))
    factor = scale * np.exp(1j * angle)
    transform = Similarity(factor, 8 + 8j - factor * (450 + 450j))  # the middle goes to the middle of 16 x 16
    y, x = np.mgrid[0:16, 0:16] + 0.5
    where = transform.inverse(np.stack([x, y], axis=-1))
    inside = ((where > 100) & (where < 800)).all(axis=-1)
    result = resample(picture, transform, 16, 16)
    np.testing.assert_allclose(result[inside], where[inside][:, 0], atol=0.02 + 0.02 / scale)


@pytest.mark.parametrize("scale", [0.4, 0.21, 0.13, 0.03])
@pytest.mark.parametrize("turn_degrees", [0, 17, 45])
def test_a_fine_checkerboard_becomes_grey(scale, turn_degrees):
    board = ((np.indices((1000, 1000)).sum(0) % 2) * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    factor = scale * np.exp(1j * np.deg2rad(turn_degrees))
    side = max(8, int(400 * scale))
    transform = Similarity(factor, complex(side, side) / 2 - factor * (500 + 500j))
    ours = resample(board, transform, side, side).astype(float)
    assert np.abs(ours - 127.5).max() < 4
    assert np.std(plain(board, transform, side)) > 20


def test_a_zone_plate_shrinks_as_lanczos_shrinks_it():
    y, x = np.mgrid[-256:256, -256:256]
    plate = (127.5 + 127 * np.cos(np.pi * (x**2 + y**2) / 512)).astype(np.uint8)[..., None].repeat(3, axis=2)
    ideal = np.asarray(Image.fromarray(plate).resize((128, 128), Image.Resampling.LANCZOS), float)
    ours = resample(plate, Similarity(0.25), 128, 128).astype(float)
    assert np.sqrt(np.square(ours - ideal).mean()) < 4.5
    assert np.sqrt(np.square(plain(plate, Similarity(0.25), 128) - ideal).mean()) > 45


def test_beyond_the_border_is_the_mirror_image():
    shown = resample(NOISE, Similarity(1, 100 + 70j), 280, 200)
    mirrored = np.pad(NOISE, ((70, 70), (100, 100), (0, 0)), mode="symmetric")
    inside = resample(mirrored, Similarity(), 280, 200)
    assert np.array_equal(shown[5:-5, 5:-5], inside[5:-5, 5:-5])  # further out the two mirror different borders


def plain(picture, transform, side):
    """What Pillow's affine transform alone would give."""
    a, b, shift = transform.inverse.factor.real, transform.inverse.factor.imag, transform.inverse.shift
    how = (side, side), Image.Transform.AFFINE, (a, -b, shift.real, b, a, shift.imag), Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(picture).transform(*how))


def test_a_picture_of_one_pixel():
    dot = np.full((1, 1, 3), 77, np.uint8)
    assert (resample(dot, Similarity(3, 1 + 1j), 20, 20) == 77).all()
