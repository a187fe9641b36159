from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from flowxfer.errors import InputError
from flowxfer.faces import EYES, Face, align, crop_transform
from tests.faces.photographs import Planted, demo_face, face_at, photograph, placed, true_eyes


@pytest.mark.parametrize("size", [1, 64, 256])
def test_eyes_go_where_openai_put_them(size):
    eyes = np.array([(320.5, 200.0), (410.0, 231.0)])
    np.testing.assert_allclose(
        crop_transform(eyes, size)(eyes), [(0.371 * size, 0.48 * size), (0.629 * size, 0.48 * size)]
    )


@pytest.mark.parametrize("turn_degrees", [0, 25, 180, -90])
@pytest.mark.parametrize("width", [200, 256, 700])
def test_a_crop_is_the_face_that_was_pasted(turn_degrees, width):
    place = placed(500, 500, width, turn_degrees)
    image = photograph(1000, 1000, (demo_face(), place))
    (aligned,) = align(image, Planted(face_at(place, score=3.5)))
    assert aligned.score == 3.5
    assert aligned.crop.shape == (256, 256, 3)
    assert aligned.crop.dtype == np.uint8
    inner = slice(8, -8)  # the pasted picture's edge blends with the wall
    difference = aligned.crop[inner, inner].astype(float) - np.asarray(demo_face())[inner, inner]
    assert np.sqrt(np.square(difference).mean()) < 4
    np.testing.assert_allclose(aligned.transform(true_eyes(place)), np.array(EYES) * 256)


def test_a_smaller_crop_is_the_larger_one_made_smaller():
    place = placed(200, 200, 256, 10)
    image = photograph(400, 400, (demo_face(), place))
    large, small = (align(image, Planted(face_at(place)), size)[0].crop for size in (256, 64))
    expected = np.asarray(Image.fromarray(large).resize((64, 64), Image.Resampling.BOX), float)
    assert np.sqrt(np.square(small - expected).mean()) < 4


def test_whatever_a_picture_comes_as(tmp_path):
    place = placed(100, 100, 128)
    image = photograph(200, 200, (demo_face(), place))
    Image.fromarray(image).save(tmp_path / "photo.png")
    detector = Planted(face_at(place))
    crops = [align(source, detector, 64)[0].crop for source in (image, Image.fromarray(image), tmp_path / "photo.png")]
    assert all(np.array_equal(crop, crops[0]) for crop in crops)


def test_no_face_is_an_empty_list():
    assert align(photograph(50, 40), Planted()) == []


def test_a_face_outside_of_the_picture_is_all_mirror_image():
    face = Face((-300, -300, -200, -200), np.array([(-270.0, -260.0), (-230.0, -260.0)]), 1.0)
    (aligned,) = align(np.full((50, 40, 3), 90, np.uint8), Planted(face), 32)
    assert (aligned.crop == 90).all()


def test_a_size_of_nothing():
    with pytest.raises(InputError, match="expected crops of at least 1 pixel, got size 0"):
        align(photograph(50, 40), Planted(), 0)


def test_eyes_in_one_place():
    with pytest.raises(InputError, match="expected two different points"):
        crop_transform(np.ones((2, 2)), 64)
