from __future__ import annotations

import numpy as np
import pytest

from flowxfer.directions.copies import mirrored, nudge, nudged
from flowxfer.errors import ShapeError

FACES = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)


def test_nudged_faces_are_the_faces_and_their_moved_copies():
    copies = nudged(FACES)
    assert copies.shape == (10, 8, 8, 3)
    np.testing.assert_array_equal(copies[:2], FACES)
    np.testing.assert_array_equal(copies[2:4, :, 1:], FACES[:, :, :-1])  # to the right
    np.testing.assert_array_equal(copies[4:6, 1:], FACES[:, :-1])  # down
    np.testing.assert_array_equal(copies[6:8, :, :-1], FACES[:, :, 1:])
    np.testing.assert_array_equal(copies[8:, :-1], FACES[:, 1:])
    np.testing.assert_array_equal(copies[2:4, :, 0], FACES[:, :, 0])  # the edge is repeated
    assert nudged(FACES[0]).shape == (5, 8, 8, 3)


def test_there_and_back_leaves_the_middle():
    np.testing.assert_array_equal(nudge(nudge(FACES, 1, 2), -1, -2)[:, :-1, :-2], FACES[:, :-1, :-2])


def test_mirrored_faces_are_the_faces_and_their_mirror_images():
    copies = mirrored(FACES)
    np.testing.assert_array_equal(copies[:2], FACES)
    np.testing.assert_array_equal(mirrored(copies[2:])[2:], FACES)
    np.testing.assert_array_equal(copies[2, :, 0], FACES[0, :, -1])


def test_copies_of_a_performer_have_the_mean_of_their_vectors(tiny_transferer):
    smile, neutral = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    flow = tiny_transferer
    copies = flow.direction(flow.mean(nudged(smile)), nudged(neutral))
    apart = [flow.direction(s, n) for s, n in zip(nudged(smile), nudged(neutral), strict=True)]
    for level, *others in zip(copies.levels, *(vector.levels for vector in apart), strict=True):
        np.testing.assert_allclose(level, sum(others) / 5, atol=1e-5)


@pytest.mark.parametrize("faces", [FACES[:, :4], FACES.astype(float), FACES[0, 0], FACES[..., :1]])
def test_what_is_no_face_is_refused(faces):
    for copies in (nudged, mirrored):
        with pytest.raises(ShapeError, match=r"expected uint8 faces of shape \(S, S, 3\) or .*load_faces"):
            copies(faces)
