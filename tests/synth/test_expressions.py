import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra synth is not installed")

from flowxfer.errors import InputError
from flowxfer.synth import (
    ACTIONS,
    HELD_OUT_ACTIONS,
    HELD_OUT_NAMES,
    NAMED,
    NEUTRAL,
    TRAINING_NAMES,
    blend,
    expression,
    gaze,
)
from flowxfer.synth.expressions import mirrored, sample_training

HELD_OUT = [ACTIONS.index(name) for name in HELD_OUT_ACTIONS]


def test_actions_are_annys(head):
    assert tuple(head.action_names) == ACTIONS


def test_strength_scales():
    for name in NAMED:
        np.testing.assert_array_equal(expression(name, strength=0.0), NEUTRAL)
        np.testing.assert_allclose(expression(name, strength=0.5), 0.5 * expression(name))
        assert expression(name).max() <= 1.0


def test_a_name_without_a_side_sets_both():
    vector = blend({"mouthSmile": 0.4, "jawOpen": 0.2})
    assert {ACTIONS[i]: vector[i] for i in np.flatnonzero(vector)} == {
        "mouthSmileLeft": 0.4,
        "mouthSmileRight": 0.4,
        "jawOpen": 0.2,
    }


def test_mirroring_swaps_sides():
    np.testing.assert_array_equal(mirrored(gaze(0.5, 0.2)), gaze(-0.5, 0.2))
    np.testing.assert_array_equal(mirrored(expression("smile")), expression("smile"))
    assert mirrored(expression("wink"))[ACTIONS.index("eyeBlinkRight")] == 1.0


def test_training_never_sees_what_is_held_out():
    rng = np.random.default_rng(0)
    drawn = np.stack([sample_training(rng) for _ in range(2000)])
    assert not drawn[:, HELD_OUT].any()
    assert drawn.min() >= 0
    assert 0.9 < drawn.max() <= 1.05
    assert (drawn > 0).any(0).sum() > 30  # and it sees most of the rest


def test_held_out_names_are_those_that_use_held_out_actions():
    assert {name for name in NAMED if expression(name)[HELD_OUT].any()} == set(HELD_OUT_NAMES)
    assert set(TRAINING_NAMES) | set(HELD_OUT_NAMES) == set(NAMED)


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match=r"expected one of neutral, smile, .*, got 'joy'; blend\(\) makes new ones"):
        expression("joy")
    with pytest.raises(InputError, match=r"one of the 52 ARKit actions, got 'noseTwist'; expressions.ACTIONS lists"):
        blend({"noseTwist": 1.0})
