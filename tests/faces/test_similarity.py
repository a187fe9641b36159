from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowxfer.errors import InputError
from flowxfer.faces import Similarity

numbers = st.floats(-4000, 4000)
points = st.tuples(numbers, numbers)
similarities = st.builds(
    lambda scale, angle, x, y: Similarity(scale * np.exp(1j * angle), complex(x, y)),
    st.floats(0.01, 100),
    st.floats(-np.pi, np.pi),
    numbers,
    numbers,
)


@given(st.tuples(points, points), st.tuples(points, points))
def test_between_takes_two_points_to_two_others(sources, goals):
    assume(np.hypot(*np.subtract(*sources)) > 1 and np.hypot(*np.subtract(*goals)) > 1)
    np.testing.assert_allclose(Similarity.between(sources, goals)(sources), goals, atol=1e-6)


@given(similarities, st.lists(points, min_size=1, max_size=5))
def test_the_inverse_brings_every_point_back(transform, where):
    np.testing.assert_allclose(transform.inverse(transform(where)), where, atol=1e-7)
    np.testing.assert_allclose(transform(transform.inverse(where)), where, atol=1e-7)


@given(similarities, similarities, points)
def test_composition_is_one_after_the_other(a, b, where):
    np.testing.assert_allclose((a @ b)(where), a(b(where)), rtol=1e-9, atol=1e-6)


def test_scale_and_angle_of_a_quarter_turn_at_twice_the_size():
    turn = Similarity.between([(0, 0), (1, 0)], [(10, 20), (10, 22)])
    assert turn.scale == pytest.approx(2)
    assert turn.angle == pytest.approx(np.pi / 2)  # clockwise as seen: from right to down
    assert turn([(0, 1)]).tolist() == [[8, 20]]


@pytest.mark.parametrize("broken", [[(1, 2), (1, 2)], [(1, 2), (np.nan, 2)], [(1, 2), (np.inf, 2)]])
def test_points_that_do_not_differ(broken):
    fine = [(0, 0), (1, 1)]
    with pytest.raises(InputError, match="expected two different points, finite, on either side, got"):
        Similarity.between(broken, fine)
    with pytest.raises(InputError, match="expected two different points, finite, on either side, got"):
        Similarity.between(fine, broken)
