"""What a performer is without expression: least squares, and what a turn of the head no longer does."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from flowxfer.errors import InputError
from flowxfer.faces import Tracker, align, paste_face
from flowxfer.latents import Latents
from flowxfer.video import Options, drive, open_source
from flowxfer.video.neutral import Neutral, learned
from tests.video.beacons import Beacons, picture, walk

SHAPES = ((2, 4, 4), (3, 2, 2))


class Film:
    """A film whose latents and turns are known, its own tracker and model."""

    batch_size, count = 4, None

    def __init__(self, latents, turns):
        self.latents, self.turns, self.seen = latents, turns, []

    def frames(self):
        for index in range(len(self.turns)):
            yield SimpleNamespace(index=index, time=index / 25)

    def follow(self, frame, time):
        self.seen.append(frame.index)
        return None if frame.index % 5 == 3 else SimpleNamespace(crop=np.full((1, 1, 3), frame.index))

    def turn(self, frame, face):
        return self.turns[frame.index]

    def encode(self, crops):
        return self.latents[crops[:, 0, 0, 0]]


def known(count, turns, seed=0):
    """Latents of faces that only turn."""
    rng = np.random.default_rng(seed)
    neutral, slope = ([rng.normal(size=shape) for shape in SHAPES] for _ in range(2))
    levels = [n + np.multiply.outer(turns, 10 * s) for n, s in zip(neutral, slope, strict=True)]
    return Latents(levels, "hash")


def test_what_only_a_turn_changes_is_taken_away():
    turns = 0.03 * np.sin(np.arange(40))
    latents = known(40, turns)
    film = Film(latents, turns)
    calm = learned(film, film, film, 1000)
    rest = [z - m for z, m in zip(calm.unturned(latents, turns).levels, calm.latents.levels, strict=True)]
    before = [z - m for z, m in zip(latents.levels, calm.latents.levels, strict=True)]
    for now, then in zip(rest, before, strict=True):
        assert np.abs(now).max() < 0.03 * np.abs(then).max()  # what the landmark's own wavering leaves


def test_the_fit_is_least_squares_of_the_first_faces():
    turns = np.random.default_rng(3).normal(0.01, 1, 40)  # so far that the landmark's wavering is nothing beside it
    latents = known(40, turns)
    noisy = Latents([z + np.random.default_rng(4).normal(size=z.shape) for z in latents.levels], "hash")
    film = Film(noisy, turns)
    calm = learned(film, film, film, 18)
    kept = [index for index in range(40) if index % 5 != 3][:18]
    assert film.seen == list(range(kept[-1] + 1))
    assert calm.at == pytest.approx(turns[kept].mean())
    for level, mean, slope in zip(noisy.levels, calm.latents.levels, calm.slope.levels, strict=True):
        (expected,), *_ = np.linalg.lstsq((turns[kept] - calm.at)[:, None], level[kept].reshape(18, -1), rcond=None)
        np.testing.assert_allclose(slope[0].ravel(), expected, rtol=2e-4, atol=1e-4)
        np.testing.assert_allclose(mean[0], level[kept].mean(0), atol=1e-12)


@pytest.mark.parametrize("turns", [np.zeros(12), np.full(12, 0.02)])
def test_a_head_that_does_not_turn_keeps_its_latents(turns):
    rng = np.random.default_rng(5)
    latents = Latents([rng.normal(size=(12, *shape)).astype(np.float32) for shape in SHAPES], "hash")
    film = Film(latents, turns)
    rest = learned(film, film, film, 12).unturned(latents, turns)
    assert all(
        np.allclose(a, b, atol=1e-6) and a.dtype == b.dtype for a, b in zip(rest.levels, latents.levels, strict=True)
    )


def test_a_neutral_that_was_given_knows_nothing_of_turns():
    latents = known(3, np.zeros(3))
    assert Neutral(latents).unturned(latents, [1.0, 2.0, 3.0]) is latents


def test_a_film_without_a_face():
    film = Film(None, np.zeros(3))
    film.follow = lambda frame, time: None
    with pytest.raises(InputError, match="expected a face in the driver, found none"):
        learned(film, film, film, 9)


def test_each_frame_of_the_study_is_told():
    latents, told = known(40, np.zeros(40)), []
    film = Film(latents, np.zeros(40))
    for count, wanted, totals in (
        (None, 6, [6, 6, 6, 7, 7, 7, 7]),  # the fourth has no face, so one more is looked at
        (40, 6, [6, 6, 6, 7, 7, 7, 7]),
        (5, 6, [5] * 7),  # an estimate may be wrong
    ):
        film.count = count
        told.clear()
        learned(film, film, film, wanted, told.append)
        assert [now.done for now in told] == [1, 2, 3, 4, 5, 6, 7]
        assert [now.total for now in told] == totals
        assert all(now.study and now.fps > 0 and now.left_seconds >= 0 for now in told)


@pytest.mark.parametrize("onto", ["photo", "film"])
def test_a_study_that_is_ended_leaves_nothing(tiny_transferer, tmp_path, monkeypatch, onto):
    monkeypatch.setattr("flowxfer.faces.tracking.embed", lambda crop: np.zeros(128))
    told = []

    def stop(now):
        told.append(now)
        if now.done == 3:
            raise KeyboardInterrupt

    target = picture(30, 30, shade=20) if onto == "photo" else [picture(30, 30, shade=20)] * 9
    options = Options(detector=Turning(), progress=stop)
    with pytest.raises(KeyboardInterrupt):
        drive(walk(9), target, tmp_path / "out", transferer=tiny_transferer, options=options)
    assert [(now.done, now.total, now.study) for now in told] == [(1, 9, True), (2, 9, True), (3, 9, True)]
    assert not list(tmp_path.iterdir())


class Turning(Beacons):
    """A detector that takes the place in the picture for the turn of the head."""

    def turn(self, image, eyes):
        return float(eyes[:, 0].mean() - 30) / 500


@pytest.mark.parametrize("onto", ["photo", "film"])
def test_a_driven_face_gets_what_is_left_of_the_performer(tiny_transferer, tmp_path, monkeypatch, onto):
    monkeypatch.setattr("flowxfer.faces.tracking.embed", lambda crop: np.zeros(128))
    photo, driver, size = picture(30, 30, shade=20), walk(9), tiny_transferer.size
    target = photo if onto == "photo" else [photo] * 9
    options = Options(detector=Turning())
    drive(driver, target, tmp_path / "out", alpha=0.5, transferer=tiny_transferer, options=options)
    with open_source(driver) as source:
        calm = learned(source, Tracker(size, detector=Turning()), tiny_transferer, 250)
    assert max(np.abs(level).max() for level in calm.slope.levels) > 0
    (aligned,), tracker = align(photo, Beacons(), size), Tracker(size, detector=Turning())
    with open_source(tmp_path / "out") as result:
        for frame, image in zip(result.frames(), driver, strict=True):
            performer = tracker.follow(image, float(frame.time))
            turn = Turning().turn(image, performer.face.eyes)
            left = calm.unturned(tiny_transferer.encode(performer.crop), [turn])
            (new,) = tiny_transferer.transfer(aligned.crop, left, calm.latents, 0.5)
            assert np.array_equal(frame.pixels, paste_face(photo, aligned, new))
