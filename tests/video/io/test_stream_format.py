from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from av.video.frame import VideoFrame

from flowxfer.errors import VideoError
from flowxfer.video.io.colours import enlarged, from_rgb, planes, to_rgb, whole_samples
from flowxfer.video.io.stream_format import UPRIGHT, Look, Turn

TURNS = [Turn(*flags) for flags in product([False, True], repeat=3)]


@pytest.mark.parametrize("turn", TURNS)
def test_turning_back_is_exact(turn):
    stored = np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8)
    upright = turn.upright(stored)
    assert np.array_equal(turn.stored(upright), stored)
    assert Look(5, 8, Fraction(25), Fraction(1, 25), turn=turn).size == upright.shape[:2]


@pytest.mark.parametrize("turn", TURNS)
def test_a_box_turns_with_its_picture(turn):
    stored = np.zeros((9, 14, 3), np.uint8)
    upright = turn.upright(stored).copy()
    upright[2:5, 1:7] = 255
    left, top, right, bottom = turn.stored_box((1, 2, 7, 5), *upright.shape[:2])
    stored[top:bottom, left:right] = 255
    assert np.array_equal(turn.stored(upright), stored)


def test_a_quarter_turn_is_a_rotation_and_a_mirror_is_none():
    assert [turn.is_rotation for turn in TURNS] == [True, False, False, True, False, True, True, False]


def test_the_matrix_that_does_nothing_is_upright():
    one = 1 << 16
    assert Turn.from_matrix((one, 0, 0, 0, one, 0, 0, 0, 1 << 30)) is UPRIGHT


# ITU-R BT.601, BT.709, BT.2020: what red and blue weigh in luma.
WEIGHTS = {5: (0.299, 0.114), 1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_rgb_is_what_the_standards_say(matrix, full, bits):
    numbers, scale = (120, 100, 170), 2 ** (bits - 8)
    picture = VideoFrame(16, 16, "yuv420p" if bits == 8 else "yuv420p10le")
    for plane, number in zip(planes(picture), numbers, strict=True):
        plane[:] = number * scale
    picture.colorspace, picture.color_range = matrix, 2 if full else 1
    foot, luma, chroma = (0, 255, 255) if full else (16, 219, 224)
    if full and bits == 10:
        luma = chroma = 1023 / 4
    y, u, v = (numbers[0] - foot) / luma, (numbers[1] - 128) / chroma, (numbers[2] - 128) / chroma
    red, blue = WEIGHTS[matrix]
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    expected = np.array([r, (y - red * r - blue * b) / (1 - red - blue), b]) * 255
    assert np.abs(to_rgb(picture) - expected).max() <= 1.5


def test_colours_that_nobody_names_are_those_that_players_take():
    shapes = {(576, 720): 5, (720, 1280): 1, (1280, 720): 1}
    for (height, width), matrix in shapes.items():
        pictures = []
        for named in (2, matrix):
            picture = VideoFrame(width, height, "yuv420p")
            for plane in planes(picture):
                plane[:] = 90
            picture.colorspace = named
            pictures.append(to_rgb(picture))
        assert np.array_equal(*pictures)


@pytest.mark.parametrize(
    ("pixel_format", "box", "whole"),
    [
        ("yuv420p", (3, 5, 7, 9), (2, 4, 8, 10)),
        ("yuv422p", (3, 5, 7, 9), (2, 5, 8, 9)),
        ("yuv411p", (3, 5, 7, 9), (0, 5, 8, 9)),
        ("yuv444p", (3, 5, 7, 9), (3, 5, 7, 9)),
        ("yuv420p", (-9, -9, 99, 99), (0, 0, 21, 15)),
        ("bgr0", (3, 5, 7, 9), (3, 5, 7, 9)),
    ],
)
def test_a_box_grows_to_whole_samples(pixel_format, box, whole):
    assert whole_samples(pixel_format, box, 15, 21) == whole


def test_an_enlarged_picture_repeats_its_edge():
    look = Look(5, 7, Fraction(25), Fraction(1, 25), "yuv420p")
    picture = from_rgb(np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8), look)
    assert enlarged(picture, 5, 7) is picture
    for own, wide in zip(planes(picture), planes(enlarged(picture, 6, 8)), strict=True):
        rows, columns = wide.shape
        assert np.array_equal(wide, np.pad(own, ((0, rows - own.shape[0]), (0, columns - own.shape[1])), "edge"))


def test_colours_that_cannot_be_converted():
    picture = VideoFrame(16, 16, "yuv420p")
    picture.colorspace = 8  # YCgCo
    with pytest.raises(VideoError, match=r"expected colours that FFmpeg converts, got yuv420p of matrix 8 and cannot"):
        to_rgb(picture)
