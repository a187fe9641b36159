"""`flowxfer batch` in one process: what it takes, skips and refuses."""

from __future__ import annotations

import os
import shlex
import sys

import pytest
import typer
from typer.testing import CliRunner

from flowxfer import images, provenance
from flowxfer.cli import batch as commands
from flowxfer.cli import photo
from flowxfer.cli.running import Commands
from flowxfer.cluster import OnRay
from flowxfer.errors import ClusterError, InputError, MissingExtraError

app = typer.Typer(cls=Commands)
app.command()(commands.batch)
app.command()(photo.align)  # a second one, or Typer has no group to catch errors


@pytest.fixture
def here(tmp_path, monkeypatch, recipe):
    monkeypatch.chdir(tmp_path)
    for name in ("smile.png", "in/a.png", "in/b.jpg"):
        images.save(recipe.expression, name)
    return tmp_path


def run(line, bundle, status=0):
    result = CliRunner().invoke(app, ["batch", *shlex.split(f"{line} -e smile.png -n smile.png -m {bundle}")])
    assert result.exit_code == status, result.output
    return result


def test_results_that_are_there_are_left(here, tiny_bundle):
    assert run("in -o out", tiny_bundle).stdout.split() == [f"{here}/out/a.png", f"{here}/out/b.png"]
    os.utime("out/a.png", (1, 1))
    (here / "out/b.png").unlink()
    result = run("'in/*' -o out", tiny_bundle)
    assert result.stdout.split() == [f"{here}/out/b.png"]
    assert result.stderr.splitlines()[-1] == "flowxfer: 1 written, 1 were there already, 0 failed"
    assert os.stat("out/a.png").st_mtime == 1
    run("in -o out --force", tiny_bundle)
    assert os.stat("out/a.png").st_mtime > 1
    assert provenance.read("out/a.png").synthetic


def test_no_mark_says_what_the_law_asks(here, tiny_bundle):
    assert "article 50" in run("in -o out --no-mark", tiny_bundle).stderr
    assert not provenance.read("out/a.png").synthetic


def test_what_films_become(here, inputs):
    for name, result in (("a.mp4", "a.mp4"), ("b.WEBM", "b.WEBM"), ("c.avi", "c.avi.mkv")):
        assert commands._film_name(here / name, name[0]) == result


def test_folders_hold_films_and_pictures(here, inputs):
    pictures, films = commands._sorted_out([str(inputs), "in/a.png", "what.ever"])
    assert [path.name for path in pictures] == [*(f"face{index}.png" for index in range(6)), "photo.png", "a.png"]
    assert films == [inputs / "film.mp4", here / "what.ever"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("in -o out --address auto", "expected --address and --workers with --engine ray only"),
        ("in -o in", "expected a folder of its own for the results, got that of the input"),
        ("out -o out", "expected pictures or films in"),
        ("in in -o out", "whose names differ"),
    ],
)
def test_mistakes_are_one_sentence(here, tiny_bundle, line, sentence):
    (here / "out").mkdir()
    result = run(line, tiny_bundle, 2)
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_ctrl_c(here, tiny_bundle, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("flowxfer.cluster.here", interrupted)
    assert "the same command goes on" in run("in -o out", tiny_bundle, 130).stderr


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(MissingExtraError, match=r"needs ray.*flowxfer\[cluster\]"):
        OnRay()


def test_workers_are_at_least_one():
    with pytest.raises(InputError, match="expected at least 1 worker, got 0"):
        OnRay(workers=0)


def test_nobody_at_the_address():
    from flowxfer.cluster.executors import _knock

    with pytest.raises(ClusterError, match="expected a Ray cluster at 127.0.0.1:9, but Connection refused"):
        _knock("127.0.0.1:9")
    _knock("auto")


def test_the_engine_of_the_model_is_not_that_of_the_work(here, tiny_bundle):
    run("in -o out --model-engine torch --precision exact-bf16 --threads 1", tiny_bundle)
    result = run("in -o other --model-engine onnxruntime --precision exact-bf16", tiny_bundle, 2)
    assert "expected exact-fp32, which the graphs of tiny are written in, got exact-bf16" in result.stderr
