"""One face followed through films whose motion we know. Positions are in pixels of the film."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flowxfer.errors import InputError
from flowxfer.faces import EYES, Face, Reference, Tracker
from flowxfer.faces.identity import SAME_PERSON, Person
from flowxfer.faces.scenes import Scenes, likeness
from flowxfer.faces.smoothing import OneEuro
from tests.faces.photographs import SIDE, demo_face, photograph, placed, true_eyes

FPS = 25
FACES = {name: demo_face(name) for name in ("id1", "id2", "id3")}


def follow(tracker, film):
    return [tracker.follow(image, index / FPS) for index, image in enumerate(film)]


def noisy(image, seed):
    noise = np.random.default_rng(seed).normal(0, 3, image.shape)
    return (image + noise).round().clip(0, 255).astype(np.uint8)


def off(aligned, place):
    """By how much the eyes are off, (2, 2), in pixels of the film."""
    return aligned.face.eyes - true_eyes(place)


def at(aligned, place, width):
    """Whether this is the face that was put there."""
    return aligned is not None and np.hypot(*off(aligned, place).mean(0)) < 0.15 * width


@pytest.fixture(autouse=True)
def _faces(dlib_detector):
    """Skip where dlib is not installed."""


def test_a_still_face_stays_still_under_noise():
    still = photograph(320, 240, (FACES["id1"], placed(160, 130, 190)))
    found = follow(Tracker(64), (noisy(still, seed) for seed in range(25)))
    eyes = np.stack([aligned.face.eyes for aligned in found])
    assert np.abs(eyes - eyes.mean(0)).max() < 0.25
    assert np.abs(np.diff(eyes, axis=0)).max() < 0.15


def test_a_moving_face_is_followed():
    def place(index):
        turn = 2 * np.pi * index / 50
        return placed(160 + 40 * np.sin(turn), 130, 170 * (1 + 0.1 * np.sin(turn)), 6 * np.sin(turn))

    film = (photograph(320, 240, (FACES["id2"], place(index))) for index in range(30))
    found = follow(Tracker(64), film)
    misses = np.stack([off(aligned, place(index)) for index, aligned in enumerate(found)])
    assert np.hypot(*misses.reshape(-1, 2).T).max() < 0.03 * 170
    assert misses[10:].std(0).max() < 1.5  # 40 px to either side in half a second


class Counting:
    """A detector that knows where the face is in each frame, and counts what it is asked for."""

    def __init__(self, place, present=lambda index: True):
        self.place, self.present, self.searches, self.index = place, present, [], -1

    def face(self):
        return Face((40.0, 60.0, 216.0, 236.0), np.array(EYES) * SIDE, 1.0).moved(self.place)

    def detect(self, image):
        self.searches.append(self.index)
        if not self.present(self.index):
            return []
        # The tracker may show a window of the frame: its corner is found by the mark that each pixel carries.
        left, top = int(image[0, 0, 0]), int(image[0, 0, 1])
        box, eyes = self.face().box, self.face().eyes
        moved = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
        return [Face(moved, eyes - (left, top), 1.0)]


class Refining(Counting):
    def refine(self, image, eyes):
        return self.face().eyes


def marked_frames(detector, count):
    """Frames whose first two channels are the column and the row."""
    y, x = np.mgrid[0:200, 0:250].astype(np.uint8)
    for index in range(count):
        detector.index = index
        yield np.stack([x, y, 0 * x], axis=2)


@pytest.mark.parametrize("every", [1, 4])
def test_the_face_is_searched_in_every_nth_frame_and_followed_between(every):
    detector = Refining(placed(120, 100, 120))
    found = follow(Tracker(32, detector=detector, every=every), marked_frames(detector, 9))
    assert all(found)
    assert detector.searches == list(range(0, 9, every))


def test_a_detector_that_cannot_refine_searches_every_frame():
    detector = Counting(placed(120, 100, 120))
    assert all(follow(Tracker(32, detector=detector, every=4), marked_frames(detector, 6)))
    assert detector.searches == list(range(6))


def test_a_turn_is_what_the_detector_sees_and_none_where_it_sees_none(dlib_detector):
    still = photograph(320, 240, (FACES["id1"], placed(160, 130, 190)))
    tracker = Tracker(64)
    aligned = tracker.follow(still, 0.0)
    assert tracker.turn(still, aligned) == dlib_detector.turn(still[..., 1], aligned.face.eyes)
    assert Tracker(64, detector=Refining(placed(160, 130, 190))).turn(still, aligned) == 0


def test_a_face_that_goes_and_comes_back_is_noticed_at_the_next_search():
    detector = Refining(placed(120, 100, 120), present=lambda index: not 3 <= index < 10)
    tracker = Tracker(32, detector=detector, every=4)
    found, began = [], []
    for index, image in enumerate(marked_frames(detector, 16)):
        found.append(tracker.follow(image, index / FPS) is not None)
        began.append(tracker.began)
    assert found == [True] * 4 + [False] * 8 + [True] * 4
    assert [index for index, new in enumerate(began) if new] == [0, 12]


def test_a_cut_is_searched_at_once():
    tracker = Tracker(64)
    left = photograph(320, 240, (FACES["id1"], placed(100, 120, 150)))
    there = placed(220, 120, 160)
    other = photograph(320, 240, (FACES["id1"], there))
    other[:, :130] = 255 - photograph(320, 240)[:, :130]
    film = [left] * 3 + [other] * 2
    found = []
    for index, image in enumerate(film):
        found.append(tracker.follow(image, index / FPS))
        assert tracker.began == (index in (0, 3))
    assert np.hypot(*off(found[3], there).T).max() < 4


def crossing(index, count):
    """The first from the left to the right, behind the second, which goes the other way."""
    way = 300 * index / (count - 1)
    return placed(90 + way, 120, 140), placed(390 - way, 130, 150)


def crossing_film(count):
    for index in range(count):
        behind, before = crossing(index, count)
        yield photograph(480, 240, (FACES["id3"], behind), (FACES["id1"], before))


@pytest.mark.parametrize("whom", ["leftmost", "reference"])
def test_who_was_chosen_is_held_when_faces_cross(whom):
    choice = whom if whom == "leftmost" else Reference(demo_face("id3", "smile"))
    count, wrong, right = 22, 0, 0
    for index, aligned in enumerate(follow(Tracker(64, choice), crossing_film(count))):
        own, other = crossing(index, count)
        together = abs(own(np.zeros(2))[0] - other(np.zeros(2))[0]) < 60
        right += at(aligned, own, 140)
        wrong += at(aligned, other, 140) and not together
    assert wrong <= 2  # where one hides the other, who it is shows at the next search
    assert right >= count - 12
    assert at(aligned, own, 140)


def test_the_person_is_held_through_cuts():
    mine, yours = placed(110, 120, 150), placed(210, 120, 150)
    together = photograph(320, 240, (FACES["id3"], mine), (FACES["id2"], yours))
    alone = photograph(320, 240, (FACES["id2"], placed(150, 120, 180)))
    alone[:40] = 0
    alone[200:] = 255
    tracker = Tracker(64, "leftmost")
    assert all(at(aligned, mine, 150) for aligned in follow(tracker, [together] * 3))
    assert follow(tracker, [alone] * 3) == [None] * 3
    swapped = photograph(320, 240, (FACES["id2"], mine), (FACES["id3"], yours))
    assert all(at(aligned, yours, 150) for aligned in follow(tracker, [swapped] * 3))


def test_nobody_is_followed_where_there_is_no_face():
    assert follow(Tracker(64), [photograph(200, 150)] * 3) == [None] * 3


def test_a_state_goes_on_as_if_nothing_had_been():
    film = list(crossing_film(26))[:9]
    whole, resumed = Tracker(64, every=4), None
    for index, image in enumerate(film):
        expected = whole.follow(image, index / FPS)
        if resumed is not None:
            got = resumed.follow(image, index / FPS)
            assert np.array_equal(got.crop, expected.crop)
            assert got.transform == expected.transform
        if index == 3:
            resumed = Tracker(64, every=4)
            resumed.restore(json.loads(json.dumps(whole.state)))


def test_choices_that_cannot_be_followed():
    with pytest.raises(InputError, match="to look for the face every 1 or more frames, got 0"):
        Tracker(64, every=0)
    for face in ("all", "tallest"):
        with pytest.raises(InputError, match=f"leftmost, a number or a Reference to follow one face, got '{face}'"):
            Tracker(64, face)
    with pytest.raises(InputError, match="a face in the reference picture, found none"):
        Tracker(64, Reference(photograph(100, 100)))


# ---------------------------------------------------------------- the parts


def test_the_filter_keeps_what_stands_and_what_moves_steadily_in_step():
    eyes = np.array([[10.0, 20.0], [30.0, 21.0]])
    still = OneEuro()
    for index in range(5):
        np.testing.assert_allclose(still(eyes, index / FPS), eyes, atol=1e-12)
    rng, noisy_eyes = np.random.default_rng(0), OneEuro()
    wobbly = eyes + rng.normal(0, 0.2, (200, 2, 2))
    filtered = np.stack([noisy_eyes(each, index / FPS) for index, each in enumerate(wobbly)])
    assert filtered[20:].std(0).max() < 0.5 * wobbly[20:].std(0).min()
    moving = OneEuro()
    lags = [moving(eyes + 4 * index, index / FPS) - (eyes + 4 * index) for index in range(60)]
    assert np.abs(lags[-1]).max() < 1.5  # at 100 pixels, 5 eye distances, a second
    np.testing.assert_allclose(lags[-1], lags[-2], atol=1e-2)
    assert np.array_equal(moving(eyes, 0.0), moving(eyes + 50, 0.0))  # time does not go on


def test_scenes_see_cuts_and_neither_motion_nor_light():
    rng = np.random.default_rng(1)
    coarse = rng.integers(30, 200, (9, 16, 3))
    scene = np.kron(coarse, np.ones((20, 20, 1))).astype(np.uint8)
    other = np.kron(rng.integers(30, 200, (9, 16, 3)), np.ones((20, 20, 1))).astype(np.uint8)
    scenes = Scenes()
    film = [scene, scene, np.roll(scene, 3, axis=1), (scene * 0.7).astype(np.uint8), other, other]
    assert [scenes.cut(image[..., 1]) for image in film] == [False, False, False, False, True, False]
    assert likeness(scene, scene) == pytest.approx(1)
    assert likeness(scene, 255 - scene) == pytest.approx(-1)
    assert likeness(np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)) == 1
    assert likeness(np.zeros((4, 4), np.uint8), np.eye(4, dtype=np.uint8)) == 0


def test_a_person_is_nearer_to_themselves_than_to_others():
    me, you = np.zeros(128), np.full(128, 0.5 / np.sqrt(128))
    nobody = np.full(128, 2.0)
    person = Person(me)
    assert person.pick([]) is None
    assert person.pick([nobody]) is None
    assert person.pick([you]) == 0  # at .5, and nobody better is known
    assert person.pick([you, me]) == 1
    assert person.pick([you]) is None  # who is known by now
    again = Person.restored(json.loads(json.dumps(person.state)))
    assert again.pick([you]) is None
    assert again.pick([0.9 * SAME_PERSON * -np.ones(128) / np.sqrt(128)]) == 0
