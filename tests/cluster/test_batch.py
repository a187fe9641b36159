"""A batch in one process writes what the single calls write, whatever comes first, fails or is interrupted."""

from __future__ import annotations

import functools
import os
import pickle
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest

from flowxfer import Transferer, images, provenance
from flowxfer.cluster import FilmTask, Photo, here, in_groups, run
from flowxfer.cluster.edit_worker import EditWorker
from flowxfer.cluster.follower import Follower
from flowxfer.errors import BundleError, InputError
from flowxfer.faces import transfer_photo
from flowxfer.video import Options, edit, open_sink
from tests.cluster.conftest import contents
from tests.cluster.inputs import ALPHA, FRAMES, SEGMENT, make_recipe, make_tasks
from tests.video.beacons import Beacons
from tests.video.films import make_film


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def film(inputs, output):
    return [FilmTask(inputs / "film.mp4", output / "film.mp4")]


def shuffled(tasks, recipe):
    """An engine like :func:`here`, through pickles as on other machines, whose results come in any order."""
    recipe = pickle.loads(pickle.dumps(recipe))
    follower, edit_worker = Follower(recipe), EditWorker(recipe)
    todo = [pickle.loads(pickle.dumps(part)) for task in tasks for part in follower(task)]
    random.Random(1).shuffle(todo)
    return (result for part in todo for result in edit_worker(part))


def test_a_film_is_the_one_of_a_single_edit(inputs, done_here, recipe, tiny_transferer, tmp_path, monkeypatch):
    monkeypatch.setattr("flowxfer.video.job.open_sink", functools.partial(open_sink, segment_frames=SEGMENT))
    options = Options(detector=Beacons(), mark=recipe.mark)
    performer = recipe.expression, recipe.neutral
    edit(
        inputs / "film.mp4", tmp_path / "film.mp4", *performer, alpha=ALPHA, transferer=tiny_transferer, options=options
    )
    assert (tmp_path / "film.mp4").read_bytes() == done_here["film.mp4"]


def test_pictures_are_those_of_single_calls(inputs, done_here, recipe, tiny_transferer, tmp_path):
    performer = recipe.expression, recipe.neutral, ALPHA
    for name in [f"face{index}.png" for index in range(6)]:
        images.save(tiny_transferer.transfer(inputs / name, *performer)[0], tmp_path / name, recipe.mark)
    photo = transfer_photo(tiny_transferer, inputs / "photo.png", *performer, detector=Beacons())
    images.save(photo, tmp_path / "photo.png", recipe.mark, original=inputs / "photo.png")
    assert contents(tmp_path) == {name: data for name, data in done_here.items() if name != "film.mp4"}


def test_all_say_that_they_are_synthetic(done_here, tmp_path):
    for name, data in done_here.items():
        (tmp_path / name).write_bytes(data)
        assert provenance.read(tmp_path / name).alphas == (ALPHA,)
        assert provenance.read(tmp_path / name).synthetic


def test_no_order_is_needed(inputs, done_here, recipe, output):
    summary = run(make_tasks(inputs, output), recipe, shuffled, segment_frames=SEGMENT)
    assert contents(output) == done_here
    assert sorted(path.name for path in summary.written) == sorted(done_here)


def test_an_index_that_leads_astray_changes_nothing(done_here, recipe, film, output, monkeypatch):
    """A seek that gives other pictures is noticed, and the part is decoded from the film's beginning."""
    from flowxfer.cluster import edit_worker as edit_worker

    begun = []
    near, whole = edit_worker._near, edit_worker._from_beginning
    monkeypatch.setattr(edit_worker, "_near", lambda part: whole(part) if part.first == 0 else near(first_part(part)))
    monkeypatch.setattr(edit_worker, "_from_beginning", lambda part: begun.append(part.number) or whole(part))

    def first_part(part):
        return replace(part, seen=(replace(part.seen[0], time=part.seen[0].time / 2),))

    run(film, recipe, here, segment_frames=SEGMENT)
    assert contents(output) == {"film.mp4": done_here["film.mp4"]}
    assert begun == list(range(1, -(-FRAMES // SEGMENT)))


def test_a_film_that_changes_meanwhile_fails(inputs, recipe, tmp_path, output):
    copy = tmp_path / "film.mp4"
    shutil.copy(inputs / "film.mp4", copy)

    def replacing_it(tasks, recipe):
        for result in here(tasks, recipe):
            yield result
            make_film(copy, frames=FRAMES, size=(72, 96))

    summary = run([FilmTask(copy, output / "film.mp4")], recipe, replacing_it, segment_frames=SEGMENT)
    assert "as it was when the film was followed, got another" in summary.failures[copy]
    assert not (output / "film.mp4").exists()


def test_an_interrupted_film_is_gone_on_with(done_here, recipe, film, output):
    def interrupted(tasks, recipe):
        for number, result in enumerate(here(tasks, recipe)):
            if number == 3:
                raise KeyboardInterrupt
            yield result

    with pytest.raises(KeyboardInterrupt):
        run(film, recipe, interrupted, segment_frames=SEGMENT)
    assert sorted(contents(output / ".film.mp4.partial"))[:3] == ["000000.json", "000000.packets", "000001.json"]
    told = []
    tell = lambda *what: told.append(what)  # noqa: E731
    run(film, recipe, here, segment_frames=SEGMENT, progress=tell)
    assert contents(output) == {"film.mp4": done_here["film.mp4"]}
    assert told[0] == ("frames", 4 * SEGMENT, FRAMES)
    assert told[-1] == ("inputs", 1, 1)


def test_an_unfinished_film_of_other_settings_fails_and_force_begins_anew(tiny_bundle, done_here, recipe, film, output):
    other = make_recipe(tiny_bundle, alpha=0.1)

    def lost(tasks, recipe):
        yield next(here(tasks, recipe))

    summary = run(film, other, lost, segment_frames=SEGMENT)
    assert "its worker was lost" in summary.failures[film[0].source]
    summary = run(film, recipe, here, segment_frames=SEGMENT)
    assert "differs in batch" in summary.failures[film[0].source]
    run(film, recipe, here, segment_frames=SEGMENT, force=True)
    assert contents(output) == {"film.mp4": done_here["film.mp4"]}


def test_what_fails_does_not_stop_the_rest(inputs, done_here, recipe, tmp_path, output):
    bad, empty = tmp_path / "bad.png", tmp_path / "bad.mp4"
    bad.write_bytes(b"no picture")
    empty.write_bytes(b"")
    images.save(np.zeros((40, 60, 3), np.uint8), tmp_path / "nobody.png")
    tasks = [
        *in_groups([(bad, output / "bad.png"), (inputs / "face1.png", output / "face1.png")]),
        Photo(tmp_path / "nobody.png", output / "nobody.png"),
        FilmTask(empty, output / "bad.mp4"),
    ]
    summary = run(tasks, recipe, here)
    assert contents(output) == {"face1.png": done_here["face1.png"]}
    assert [path.name for path in summary.failures] == ["bad.mp4", "bad.png", "nobody.png"]
    assert "got an empty file" in summary.failures[empty]
    assert "expected a picture" in summary.failures[bad]
    assert "expected a face in the picture, found none" in summary.failures[tmp_path / "nobody.png"]


def test_a_full_disk_is_a_failure(recipe, film, output, monkeypatch):
    def full(*paths):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("flowxfer.video.io.film_sink.FilmSegmentWriter.end", full)
    assert run(film, recipe, here).failures == {film[0].source: "No space left on device"}
    assert contents(output) == {}


def test_a_mistake_of_ours_is_named(recipe, film, monkeypatch):
    monkeypatch.setattr("flowxfer.cluster.follower.followed", lambda *_: 1 / 0)
    assert run(film, recipe, here).failures == {film[0].source: "ZeroDivisionError: division by zero"}


def test_another_model_under_the_same_name_is_refused(tiny_bundle):
    recipe = make_recipe(tiny_bundle)
    object.__setattr__(recipe, "model_hash", "0" * 64)
    with pytest.raises(BundleError, match="with the hash 000000000000, got one with .*; install the same flowxfer"):
        recipe.transferer()


def test_segments_have_frames(recipe):
    with pytest.raises(InputError, match="expected segments of at least 1 frame, got 0"):
        run([], recipe, here, segment_frames=0)


def test_nothing_to_do_loads_nothing(recipe):
    assert run([], recipe, lambda *_: pytest.fail("an engine was started")).written == []


def test_films_in_waves(done_here, recipe, inputs, output, monkeypatch):
    monkeypatch.setattr("flowxfer.cluster.batch._FILMS", 1)
    films = [FilmTask(inputs / "film.mp4", output / name) for name in ("a.mp4", "b.mp4")]
    assert len(run(films, recipe, here, segment_frames=SEGMENT).written) == 2
    assert set(contents(output).values()) == {done_here["film.mp4"]}


def test_a_film_must_be_followed_first(recipe, film):
    with pytest.raises(TypeError, match="expected a film to be followed first"):
        next(EditWorker(recipe)(film[0]))


def test_the_model_is_loaded_once(recipe, inputs, output, monkeypatch):
    made = []
    monkeypatch.setattr("flowxfer.cluster.recipe.Transferer", lambda *a, **k: made.append(a) or Transferer(*a, **k))
    run(make_tasks(inputs, output), recipe, here, segment_frames=SEGMENT)
    assert len(made) == 1
