"""`flowxfer video`: what it writes, and what it says when it cannot."""

from __future__ import annotations

import functools
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from flowxfer import Latents, images
from flowxfer.cli import photo
from flowxfer.cli import video as commands
from flowxfer.cli.running import Commands, measure
from flowxfer.directions import Attributes
from flowxfer.faces import Reference
from flowxfer.video import Progress, open_sink, open_source
from tests.video.beacons import HEIGHT, WIDTH, Beacons, crop, picture, walk
from tests.video.films import make_film, packets, stored_planes

runner = CliRunner()
app = typer.Typer(cls=Commands)
app.command()(commands.video)
app.command()(photo.align)  # a second one, or Typer has no group to catch errors


@pytest.fixture
def here(tmp_path, monkeypatch, tiny_bundle):
    """A working folder with a film, a performer, and the options that each edit needs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("flowxfer.faces.tracking.embed", lambda crop: np.zeros(128))
    monkeypatch.setattr(commands, "find_by", lambda name: Beacons())
    lossless = {"codec": "ffv1", "pixel_format": "yuv444p", "size": (HEIGHT, WIDTH)}
    make_film(tmp_path / "film.mkv", pictures=walk(12, missing=range(3, 5)), frames=12, sounds=["libopus"], **lossless)
    images.save(crop(picture(40, shade=30)), tmp_path / "smile.png")
    images.save(crop(picture(40, shade=-20)), tmp_path / "neutral.png")
    images.save(picture(30, 30, shade=20), tmp_path / "me.png")
    return tmp_path


@pytest.fixture
def model(tiny_bundle):
    return f"-m {tiny_bundle} --detector mtcnn --codec ffv1"


def run(line, status=0):
    result = runner.invoke(app, ["video", *shlex.split(line)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def frames(path):
    with open_source(path) as film:
        return [frame.pixels for frame in film.frames()]


def refused(line):
    before = sorted(path.name for path in Path.cwd().iterdir())
    result = run(line, 2)
    assert result.stderr.startswith("flowxfer: ")
    assert result.stderr.count("\n") == 1
    assert sorted(path.name for path in Path.cwd().iterdir()) == before
    return result.stderr


def pixels(path):
    with open_source(path) as source:
        return [frame.pixels for frame in source.frames()]


def test_an_edit(here, model):
    line = f"film.mkv -e smile.png -n neutral.png -a 0.5 {model} -o out.mkv --log log.jsonl --preview 4"
    assert run(line).stdout.split() == ["out.mkv", "12", "frames,", "a", "face", "in", "10"]
    same = [np.array_equal(*pair) for pair in zip(pixels("film.mkv"), pixels("out.mkv"), strict=True)]
    assert same == [index in (3, 4) for index in range(12)]
    assert packets(here / "out.mkv", "audio") == packets(here / "film.mkv", "audio")
    assert [json.loads(each)["alpha"] for each in (here / "log.jsonl").read_text().splitlines()][2:4] == [0.5, None]
    assert images.load("out.preview.png").shape[1] > 640
    assert "expected nothing at out.preview.png, got a file" in refused(line)
    Path("out.preview.png").unlink()
    assert "expected nothing at out.mkv, got a file" in refused(line)
    run(f"{line} --force")


def test_a_range_and_one_strength_per_level(here, model):
    run(f"film.mkv -e smile.png -n neutral.png -a 0,0,0 --start 0.08 --end 0.3 --smooth 0.5 {model} -o out.mkv")
    before, after = stored_planes(here / "film.mkv")[2:8], stored_planes(here / "out.mkv")
    assert all(np.array_equal(*each) for pair in zip(before, after, strict=True) for each in zip(*pair, strict=True))


def test_a_film_drives_a_photograph_and_a_film(here, model):
    run(f"me.png --driver film.mkv -n neutral.png -a 0.5 {model} -o me.mkv")
    shown = pixels("me.mkv")
    assert len(shown) == 12
    photo = images.load("me.png")
    assert [np.array_equal(each, photo) for each in shown] == [index in (3, 4) for index in range(12)]
    run(f"film.mkv --driver film.mkv --paste blend {model} -o both.mkv")
    assert len(pixels("both.mkv")) == 12


def test_ctrl_c_and_resume(here, model, monkeypatch):
    monkeypatch.setattr("flowxfer.video.job.open_sink", functools.partial(open_sink, segment_frames=4))
    line = f"film.mkv -e smile.png -n neutral.png -a 0.5 {model}"
    run(f"{line} -o whole.mkv")

    def interrupting(*args, sink=open_sink, **options):
        opened = sink(*args, **options, segment_frames=4)
        write = opened.write
        opened.write = lambda frame, *rest, **more: write(frame, *rest, **more) if frame.index < 7 else _interrupt()
        return opened

    with monkeypatch.context() as patched:
        patched.setattr("flowxfer.video.job.open_sink", interrupting)
        result = run(f"{line} -o out.mkv", 130)
    assert "interrupted; what was done is kept, and --resume goes on with it" in result.stderr
    assert not (here / "out.mkv").exists()
    assert "12 frames" in run(f"{line} -o out.mkv --resume").stdout
    assert packets(here / "out.mkv", "video") == packets(here / "whole.mkv", "video")


def _interrupt():
    raise KeyboardInterrupt


def test_a_folder_of_films(here, model):
    (here / "films").mkdir()
    (here / "film.mkv").rename(here / "films" / "a.mkv")
    (here / "films" / "b.mp4").write_bytes(b"not a film")
    result = run(f"films -e smile.png -n neutral.png {model} -o out", 2)
    assert result.stdout.splitlines() == ["out/a.mkv  12 frames, a face in 10"]
    assert "films/b.mp4: expected a film in films/b.mp4" in result.stderr
    assert result.stderr.splitlines()[-1] == "flowxfer: 1 of 2 films failed, as listed above; the rest is done"
    (here / "films" / "b.mp4").unlink()
    assert run(f"films -e smile.png -n neutral.png {model} -o out --resume").stdout == ""


def test_an_attribute_in_place_of_an_expression(here, model, tiny_transferer):
    """The expression vector under a name does what the expression does."""
    vector = tiny_transferer.direction("smile.png", "neutral.png")
    Attributes(["Smiling"], Latents(vector.levels, vector.model_hash)).save("smiling.safetensors")
    run(f"film.mkv -e smile.png -n neutral.png -a 0.5 {model} -o expression.mkv")
    run(f"film.mkv --attribute Smiling=0.5 --attributes smiling.safetensors {model} -o attribute.mkv")
    for one, other, before in zip(*map(frames, ("expression.mkv", "attribute.mkv", "film.mkv")), strict=True):
        np.testing.assert_array_equal(one, other)
        changed = (one != before).any()
    assert changed


def test_mistakes_are_one_sentence(here, model):
    assert "expected one of --expression, --attribute and --driver" in refused(f"film.mkv {model} -o out.mkv")
    assert "expected --neutral beside --expression" in refused(f"film.mkv -e smile.png {model} -o out.mkv")
    both = f"film.mkv -e smile.png -n neutral.png --attribute Smiling=1 {model} -o out.mkv"
    assert "expected one of --expression, --attribute and --driver" in refused(both)
    assert "such as Smiling=0.8, got 'Smiling'" in refused(f"film.mkv --attribute Smiling {model} -o out.mkv")
    beside = f"film.mkv --driver film.mkv --attributes x {model} -o out.mkv"
    assert "expected --attributes beside --attribute" in refused(beside)
    assert "expected an attribute of the model" in refused(f"film.mkv --attribute Smiling=1 {model} -o out.mkv")
    edit = f"-e smile.png -n neutral.png {model}"
    assert "but there is nothing" in refused(f"nowhere.mp4 {edit} -o out.mkv")
    assert "expected a film's name to end in" in refused(f"film.mkv {edit} -o out.txt")
    assert "got 'tallest'" in refused(f"film.mkv {edit} --face tallest -o out.mkv")
    assert "expected an end after the start" in refused(f"film.mkv {edit} --start 3 --end 2 -o out.mkv")


def test_whom_the_options_choose(here, model, monkeypatch):
    chosen = []
    monkeypatch.setattr("flowxfer.video.process", lambda *_, options, **__: chosen.append(options) or _stop())
    line = f"film.mkv -e smile.png -n neutral.png {model} -o out.mkv"
    for more in ("--face 1", "--reference me.png --driver-face leftmost"):
        with pytest.raises(StopIteration):
            run(f"{line} {more}")
    assert chosen[0].face == 1
    assert isinstance(chosen[1].face, Reference)
    assert chosen[1].performer == "leftmost"


def _stop():
    raise StopIteration


def test_what_a_film_is_at_is_told(monkeypatch, capsys):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with measure("film.mp4") as told:
        told(Progress(30, 250, 60.0, None, study=True))
    assert "film.mp4: studying the performer  60.0 frames/s" in capsys.readouterr().err
    with measure("film.mp4") as told:
        told(Progress(30, 250, 60.0, None))
    assert "film.mp4  60.0 frames/s" in capsys.readouterr().err
