from __future__ import annotations

import numpy as np
import pytest

from flowxfer.faces import EYES, Face, Similarity, align
from flowxfer.faces.detector import any_way_up, largest_first, openai_eyes
from tests.faces.photographs import Planted


class UprightOnly:
    """Sees eyes, one red and one blue pixel, if they are level and red is on the left; larger scores further up."""

    def detect(self, image):
        (y0, x0), (y1, x1) = (np.argwhere(image[..., channel] == 255)[0] + 0.5 for channel in (0, 2))
        if abs(y1 - y0) > 1 or x0 > x1:
            return []
        return [Face((x0 - 2, y0 - 1, x1 + 2, y1 + 7), np.array([(x0, y0), (x1, y1)]), 1.0)]


@pytest.mark.parametrize("turns", range(4))
def test_a_face_is_found_any_way_up(turns):
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[10, 20, 0] = upright[10, 30, 2] = 255
    image = np.ascontiguousarray(np.rot90(upright, turns))
    (face,) = any_way_up(UprightOnly(), image)
    for eye, channel in zip(face.eyes, (0, 2), strict=True):
        x, y = np.floor(eye).astype(int)
        assert image[y, x, channel] == 255
    left, top, right, bottom = face.box
    assert sorted([right - left, bottom - top]) == pytest.approx([8, 14])
    assert face.area == pytest.approx(8 * 14)
    assert left < face.eyes[:, 0].min() <= face.eyes[:, 0].max() < right
    (aligned,) = align(image, UprightOnly(), 20, rotations=True)
    assert aligned.transform.angle == pytest.approx((0, np.pi / 2, np.pi, -np.pi / 2)[turns], abs=1e-9) or turns == 2


def test_of_four_turns_the_surest_wins():
    class Guessing:
        scores = iter([0.2, 0.9, 0.4, 0.1])

        def detect(self, image):
            return [Face((0, 0, 9, 9), np.array([(2.0, 3.0), (6.0, 3.0)]), next(self.scores))]

    (face,) = any_way_up(Guessing(), np.zeros((10, 10, 3), np.uint8))
    assert face.score == 0.9
    assert face.eyes.tolist() == [[7, 2], [7, 6]]


def test_no_face_any_way_up():
    assert any_way_up(Planted(), np.zeros((10, 20, 3), np.uint8)) == []


def test_a_habit_is_undone():
    habit = [(0.36, 0.49), (0.63, 0.48)]
    place = Similarity(200 * np.exp(0.3j), 40 + 30j)
    np.testing.assert_allclose(openai_eyes(place(habit), habit), place(EYES))


def test_a_face_moves_with_its_picture():
    face = Face((10, 20, 30, 60), np.array([(15.0, 30.0), (25.0, 30.0)]), 0.5)
    moved = face.moved(Similarity(2j, 100))
    assert moved.box == pytest.approx((-20, 20, 60, 60))
    assert moved.eyes.tolist() == [[40, 30], [40, 50]]
    assert moved.score == 0.5


def test_the_largest_comes_first():
    faces = [Face((0, 0, side, side), np.zeros((2, 2)), 1.0) for side in (3, 9, 5)]
    assert [face.area for face in largest_first(faces)] == [81, 25, 9]
