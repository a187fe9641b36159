"""Whole films: edited, driven, interrupted and resumed."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from flowxfer import images
from flowxfer.cluster import process_folder
from flowxfer.errors import InputError, VideoError
from flowxfer.faces import Tracker, align, paste_blend, paste_change, paste_face
from flowxfer.latents import Latents
from flowxfer.video import Options, drive, edit, open_sink, open_source, process
from flowxfer.video.changes import Smoothing
from flowxfer.video.performance import Performance
from tests.video.beacons import HEIGHT, WIDTH, Beacons, crop, picture, walk
from tests.video.films import make_film, packets, stored_planes, times

EXPRESSION, NEUTRAL = crop(picture(40, shade=30)), crop(picture(40, shade=-20))
LOSSLESS = {"codec": "ffv1", "pixel_format": "yuv444p", "size": (HEIGHT, WIDTH)}


@pytest.fixture(autouse=True)
def _everybody_is_one_person(monkeypatch):
    """Dots have no faces that a network could tell apart."""
    monkeypatch.setattr("flowxfer.faces.tracking.embed", lambda crop: np.zeros(128))


@pytest.fixture
def short_segments(monkeypatch):
    monkeypatch.setattr("flowxfer.video.job.open_sink", functools.partial(open_sink, segment_frames=10))


def options(**choices):
    return Options(detector=Beacons(), **choices)


def frames(folder):
    return [images.load(path) for path in images.expand([folder])]


def interrupted_at(count):
    def progress(now):
        if now.done == count:
            raise KeyboardInterrupt

    return progress


# ---------------------------------------------------------------- edit


def test_an_edit_is_the_transfer_pasted_into_each_frame(tiny_transferer, tmp_path):
    film, size = walk(12, missing=range(4, 7)), tiny_transferer.size
    log = tmp_path / "log.jsonl"
    report = edit(
        film,
        tmp_path / "out",
        EXPRESSION,
        NEUTRAL,
        alpha=0.5,
        transferer=tiny_transferer,
        options=options(log=log, preview=5),
    )
    assert (report.output, report.frames, report.found) == (tmp_path / "out", 12, 9)
    tracker = Tracker(size, detector=Beacons())
    for index, (before, after) in enumerate(zip(film, frames(tmp_path / "out"), strict=True)):
        aligned = tracker.follow(before, index / 25)
        if index in range(4, 7):
            assert aligned is None
            assert np.array_equal(after, before)
        else:
            (new,) = tiny_transferer.transfer(aligned.crop, EXPRESSION, NEUTRAL, 0.5)
            assert np.array_equal(after, paste_blend(before, aligned, new))
            assert not np.array_equal(after, before)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["found"] for line in lines] == [index not in range(4, 7) for index in range(12)]
    assert lines[3] | {"box": None} == {
        "frame": 3,
        "time": 0.12,
        "found": True,
        "score": 2.5,
        "alpha": 0.5,
        "box": None,
    }
    assert lines[4]["score"] is lines[4]["alpha"] is lines[4]["box"] is None
    assert images.load(tmp_path / "out.preview.png").shape[1] > 2 * 320  # frames 0, 5 and 10


@pytest.mark.parametrize("smooth", [0.0, 0.5])
def test_alpha_zero_leaves_every_plane_of_a_lossless_film(tiny_transferer, tmp_path, smooth):
    film = make_film(tmp_path / "in.mkv", pictures=walk(8), frames=8, sounds=["libopus"], **LOSSLESS)
    out = tmp_path / "out.mkv"
    process(
        film,
        out,
        expression=EXPRESSION,
        neutral=NEUTRAL,
        alpha=0,
        transferer=tiny_transferer,
        options=options(codec="ffv1", smooth=smooth),
    )
    for before, after in zip(stored_planes(film), stored_planes(out), strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert times(out) == times(film)
    assert packets(out, "audio") == packets(film, "audio")


def test_smoothing_steadies_an_edit(tiny_transferer, tmp_path):
    rng = np.random.default_rng(0)
    film = [(picture(40) + rng.integers(-4, 5, (HEIGHT, WIDTH, 3))).clip(0, 255).astype(np.uint8) for _ in range(10)]
    flicker = []
    for smooth in (0.0, 0.9):
        out, steady = tmp_path / str(smooth).replace(".", ""), options(smooth=smooth, paste=paste_change)
        edit(film, out, EXPRESSION, NEUTRAL, alpha=0.5, transferer=tiny_transferer, options=steady)
        change = np.stack(frames(out)).astype(float) - np.stack(film)
        flicker.append(np.abs(np.diff(change[2:], axis=0)).mean())
    assert flicker[1] < 0.7 * flicker[0]


def test_a_direction_is_an_expression_without_its_performer(tiny_transferer, tmp_path):
    film, direction = walk(3), tiny_transferer.direction(EXPRESSION, NEUTRAL)
    given = {"alpha": 0.5, "transferer": tiny_transferer, "options": options()}
    edit(film, tmp_path / "by its performer", EXPRESSION, NEUTRAL, **given)
    edit(film, tmp_path / "by itself", direction=direction, **given)
    for one, other in zip(frames(tmp_path / "by its performer"), frames(tmp_path / "by itself"), strict=True):
        assert (one == other).all()
    with pytest.raises(InputError, match="expected a direction, or an expression and a neutral, got both"):
        edit(film, tmp_path / "twice", EXPRESSION, NEUTRAL, direction=direction, **given)


# ---------------------------------------------------------------- drive


def test_a_photograph_does_what_the_driver_does(tiny_transferer, tmp_path):
    photo, driver = picture(30, 30, shade=20, height=60, width=70), walk(9, missing=range(3, 5))
    out = tmp_path / "out"
    arguments = {"alpha": 0.5, "transferer": tiny_transferer}
    report = drive(driver, photo, out, crop(driver[0]), options=options(), **arguments)
    assert (report.frames, report.found) == (9, 7)
    (aligned,) = align(photo, Beacons(), tiny_transferer.size)
    tracker = Tracker(tiny_transferer.size, detector=Beacons())
    for index, after in enumerate(frames(out)):
        performer = tracker.follow(driver[index], index / 25)
        if performer is None:
            assert np.array_equal(after, photo)
        else:
            (new,) = tiny_transferer.transfer(aligned.crop, performer.crop, crop(driver[0]), 0.5)
            assert np.array_equal(after, paste_face(photo, aligned, new))


def test_a_performer_who_holds_still_changes_nothing(tiny_transferer, tmp_path):
    photo = picture(30, 30, shade=20)
    drive([picture(40)] * 6, photo, tmp_path / "out", transferer=tiny_transferer, options=options())
    assert all(np.array_equal(after, photo) for after in frames(tmp_path / "out"))


def test_a_driven_photograph_has_the_drivers_times_and_sound(tiny_transferer, tmp_path):
    ticks = [0, 2, 3, 7, 8, 9]
    driver = make_film(tmp_path / "in.mkv", pictures=walk(6), ticks=ticks, sounds=["libopus"], **LOSSLESS)
    photo = picture(30, 30, height=51, width=63)
    images.save(photo, tmp_path / "me.png")
    out = tmp_path / "out.mkv"
    process(tmp_path / "me.png", out, driver=driver, alpha=0, transferer=tiny_transferer, options=options(codec="ffv1"))
    assert times(out) == times(driver)
    assert packets(out, "audio") == packets(driver, "audio")
    with open_source(out) as result:
        assert all(np.array_equal(frame.pixels, photo) for frame in result.frames())


def test_a_film_follows_the_driver_in_time_until_that_ends(tiny_transferer, tmp_path):
    film, driver = walk(12), walk(4, shade=12)  # the driver has half as many frames a second, and ends at .32 s
    slow = make_film(tmp_path / "in.mkv", pictures=driver, frames=4, rate=Fraction(25, 2), **LOSSLESS)
    with open_source(slow) as source:
        performers = [align(frame.pixels, Beacons(), tiny_transferer.size)[0].crop for frame in source.frames()]
    out = tmp_path / "out"
    report = drive(slow, film, out, NEUTRAL, alpha=0.5, transferer=tiny_transferer, options=options())
    assert (report.frames, report.found) == (12, 8)
    tracker = Tracker(tiny_transferer.size, detector=Beacons())
    for index, (before, after) in enumerate(zip(film, frames(out), strict=True)):
        aligned = tracker.follow(before, index / 25)
        if index >= 8:
            assert np.array_equal(after, before)
        elif index in (0, 1):  # later the filter moves the performer's crop a little
            (new,) = tiny_transferer.transfer(aligned.crop, performers[0], NEUTRAL, 0.5)
            assert np.array_equal(after, paste_face(before, aligned, new))
        else:
            assert not np.array_equal(after, before)


def test_a_performance_is_what_is_shown_at_a_time():
    with open_source(walk(6), rate=10) as source:
        performance = Performance(source, Tracker(32, detector=Beacons()))
        seen = []
        for time in (Fraction(0), Fraction(5, 100), Fraction(1, 10), Fraction(39, 100), Fraction(59, 100)):
            performance.at(time)
            seen.append(performance.state["frame"])
        assert seen == [0, 0, 1, 3, 5]
        assert performance.at(Fraction(6, 10)) == (None, False)


# ---------------------------------------------------------------- resume


def jobs(transferer, tmp_path):
    film, photo = walk(37, missing=range(12, 15)), picture(30, 30, shade=20)
    driver = make_film(tmp_path / "driver.mkv", pictures=walk(30, shade=9), frames=30, rate=18, **LOSSLESS)
    common = {"alpha": 0.5, "transferer": transferer}
    return {
        "edit": lambda out, **more: edit(film, out, EXPRESSION, NEUTRAL, options=options(**more), **common),
        "photo": lambda out, **more: drive(film, photo, out, neutral_frames=3, options=options(**more), **common),
        "film": lambda out, **more: drive(driver, film, out, NEUTRAL, options=options(**more), **common),
    }


@pytest.mark.parametrize("smooth", [0.0, 0.6])
@pytest.mark.parametrize("use", ["edit", "photo", "film"])
def test_a_resumed_run_gives_what_an_uninterrupted_one_gives(tiny_transferer, tmp_path, short_segments, use, smooth):
    job = jobs(tiny_transferer, tmp_path)[use]
    whole = job(tmp_path / "whole", smooth=smooth)
    for stop in (17, 28):
        with pytest.raises(KeyboardInterrupt):
            job(tmp_path / "again", smooth=smooth, resume=True, progress=interrupted_at(stop))
        assert not (tmp_path / "again").exists()
    log, told = tmp_path / "log.jsonl", []
    report = job(tmp_path / "again", smooth=smooth, resume=True, log=log, progress=told.append)
    assert next(now.done for now in told if not now.study and now.fps) == 21  # two segments of ten were safe
    assert (report.frames, report.found) == (whole.frames, whole.found)
    pairs = zip(frames(tmp_path / "whole"), frames(tmp_path / "again"), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)
    assert [json.loads(line)["frame"] for line in log.read_text().splitlines()] == list(range(37))


def test_a_run_that_is_not_the_same_is_not_resumed(tiny_transferer, tmp_path, short_segments):
    arguments = (walk(30), tmp_path / "out", EXPRESSION, NEUTRAL)
    with pytest.raises(KeyboardInterrupt):
        edit(*arguments, transferer=tiny_transferer, options=options(progress=interrupted_at(15)))
    with pytest.raises(VideoError, match="differs in settings"):
        edit(*arguments, alpha=0.7, transferer=tiny_transferer, options=options(resume=True))
    with pytest.raises(VideoError, match="resume goes on with it"):
        edit(*arguments, transferer=tiny_transferer, options=options())
    edit(*arguments, transferer=tiny_transferer, options=options(resume=True))


KILLED = """
import functools, os, signal, sys
import numpy as np
import flowxfer.faces.tracking, flowxfer.video.job as module
from flowxfer import Transferer
from tests.video import test_process as tests
flowxfer.faces.tracking.embed = lambda crop: np.zeros(128)
module.open_sink = functools.partial(module.open_sink, segment_frames=10)
def progress(now):
    if now.done == 23:
        os.kill(os.getpid(), signal.SIGKILL)
tests.edit(tests.walk(37), sys.argv[2], tests.EXPRESSION, tests.NEUTRAL, transferer=Transferer(sys.argv[1], threads=1),
           options=tests.options(progress=progress))
"""


def test_a_killed_run_is_resumed(tiny_bundle, tiny_transferer, tmp_path, short_segments):
    code, out = [sys.executable, "-c", KILLED, str(tiny_bundle), str(tmp_path / "out")], tmp_path / "out"
    root = Path(__file__).parents[2]
    killed = subprocess.run(code, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, check=False)
    assert killed.returncode == -9
    assert not out.exists()
    told = []
    for folder, more in ((out, {"resume": True, "progress": told.append}), (tmp_path / "whole", {})):
        edit(walk(37), folder, EXPRESSION, NEUTRAL, transferer=tiny_transferer, options=options(**more))
    assert told[0].done == 21
    pairs = zip(frames(out), frames(tmp_path / "whole"), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


# ---------------------------------------------------------------- folders


def test_a_film_that_fails_does_not_stop_the_others(tiny_transferer, tmp_path):
    folder, out = tmp_path / "films", tmp_path / "out"
    folder.mkdir()
    for name in ("a.mkv", "c.mkv"):
        make_film(folder / name, pictures=walk(4), frames=4, **LOSSLESS)
    (folder / "b.mp4").write_bytes(b"not a film")
    (folder / "notes.txt").write_text("not a film either")
    arguments = {"expression": EXPRESSION, "neutral": NEUTRAL, "alpha": 0.5, "transferer": tiny_transferer}
    begun = []
    outcome = process_folder(folder, out, options=options(log="any"), starting=begun.append, **arguments)
    assert [path.name for path in begun] == ["a.mkv", "b.mp4", "c.mkv"]
    assert [report.output.name for report in outcome.reports] == ["a.mkv", "c.mkv"]
    assert list(outcome.failures) == [folder / "b.mp4"]
    assert "expected a film in" in str(outcome.failures[folder / "b.mp4"])
    assert sorted(path.name for path in out.iterdir()) == ["a.jsonl", "a.mkv", "c.jsonl", "c.mkv"]
    assert process_folder(folder, out, options=options(resume=True), **arguments).reports == []
    with pytest.raises(VideoError, match=r"expected films .* but there are none"):
        process_folder(out / "..", out, **arguments)


# ---------------------------------------------------------------- smoothing


def test_smoothing_is_a_geometric_mean_of_the_past(tiny_transferer):
    latents = tiny_transferer.encode(np.stack([EXPRESSION, NEUTRAL, EXPRESSION, NEUTRAL]))
    smoothed, states = Smoothing(0.75)(latents, [True, False, False, True])
    first, second, third, fourth = (latents[index] for index in range(4))
    step = 0.75 * first + 0.25 * second
    for index, expected in enumerate([first, step, 0.75 * step + 0.25 * third, fourth]):
        for z, level in zip(smoothed[index].levels, expected.levels, strict=True):
            np.testing.assert_allclose(z, level, atol=1e-6)
    again = Smoothing(0.75)
    again.restore(json.loads(json.dumps(states[1])), tiny_transferer.manifest.latent_shapes)
    (rest, _) = again(Latents([z[2:] for z in latents.levels], latents.model_hash), [False, True])
    assert all(np.array_equal(z, level[2:]) for z, level in zip(rest.levels, smoothed.levels, strict=True))
    assert Smoothing(0.0)(latents, [True] * 4)[0] is latents


# ---------------------------------------------------------------- mistakes


def test_what_cannot_be_processed(tiny_transferer, tmp_path):
    def refused(message, source=None, **arguments):
        source = walk(3) if source is None else source
        with pytest.raises(InputError, match=message):
            process(source, tmp_path / "out", transferer=tiny_transferer, **arguments)
        assert not (tmp_path / "out").exists()

    both = {"expression": EXPRESSION, "neutral": NEUTRAL}
    refused("expected an expression, a direction or a driver, one of them")
    refused("expected an expression, a direction or a driver, one of them", driver=walk(3), **both)
    refused("expected the performer without expression, got none", expression=EXPRESSION)
    refused("expected an expression, a direction or a driver, one of", direction=tiny_transferer.mean(NEUTRAL), **both)
    refused("expected one expression for all frames, got 2", expression=np.stack([NEUTRAL] * 2), neutral=NEUTRAL)
    refused("smoothing from 0, none, to below 1, got 1.0", options=options(smooth=1.0), **both)
    refused("every n-th frame with n of at least 1, got 0", options=options(preview=0), **both)
    refused("alpha to be a finite number", alpha=float("nan"), options=options(), **both)
    refused("expected a face in the picture, found none", picture(None), driver=walk(3), options=options())
    refused("expected a face in the driver, found none", driver=[picture(None)] * 3, options=options())
    refused("a driver that can be read twice, or the performer's neutral", driver=iter(walk(3)), options=options())
    with pytest.raises(InputError, match="at least one first frame to take the driver's neutral face from, got 0"):
        drive(walk(3), walk(3), tmp_path / "out", neutral_frames=0, transferer=tiny_transferer, options=options())
