"""Sets of performances, and a reader that is learned from one."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra synth is not installed")
pytest.importorskip("scipy", reason="the extra synth is not installed")

from typer.testing import CliRunner

from flowxfer import Transferer
from flowxfer.cli import app
from flowxfer.directions import ExpressionReader
from flowxfer.errors import InputError
from flowxfer.synth import ACTIONS
from flowxfer.synth.__main__ import main
from flowxfer.synth.album import Album
from flowxfer.synth.dataset import TRAINING_START, Shoot
from flowxfer.synth.performances import write_performances


@pytest.fixture(scope="module")
def written(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("performances") / "set.npz"
    write_performances(path, people=3, album=Album.read(folder), photographs=4, size=32)
    with np.load(path) as arrays:
        return path, dict(arrays)


def test_people_perform_elsewhere(written):
    _, arrays = written
    assert arrays["neutral"].shape == arrays["performing"].shape == (7, 32, 32, 3)
    assert tuple(arrays["names"]) == ACTIONS
    for number in range(3):
        shoot = Shoot.sample(TRAINING_START + number)
        np.testing.assert_array_equal(arrays["neutral"][number], shoot.picture(size=32))
        here = shoot.picture(arrays["strengths"][number].astype(float), size=32).astype(int)
        corners = (slice(0, 4), slice(0, 4))
        assert np.abs(arrays["performing"][number][corners] - here[corners]).mean() > 2  # another background


def test_every_performance_shows_something(written):
    _, arrays = written
    assert (arrays["strengths"].max(1) > 0.1).all()
    assert arrays["strengths"].min() >= 0
    assert all((a != b).any() for a, b in zip(arrays["neutral"], arrays["performing"], strict=True))


def test_the_same_seed_gives_the_same_set(written, folder, tmp_path):
    again = write_performances(tmp_path / "a.npz", people=3, album=Album.read(folder), photographs=4, size=32)
    other = write_performances(tmp_path / "b.npz", people=3, size=32, seed=1)
    np.testing.assert_array_equal(np.load(again)["performing"], written[1]["performing"])
    assert (np.load(other)["strengths"] != written[1]["strengths"][:3]).any()


def test_a_reader_is_learned_from_a_set(written, tiny_bundle, tmp_path):
    learn = ["reader", "learn", "-m", str(tiny_bundle), "-o", str(tmp_path / "r.safetensors")]
    done = CliRunner().invoke(app, [*learn, str(written[0])])
    assert done.exit_code == 0, done.output
    manifest = Transferer(tiny_bundle).manifest
    performed = [name for name, column in zip(ACTIONS, written[1]["strengths"].T, strict=True) if column.any()]
    assert list(ExpressionReader.load(tmp_path / "r.safetensors", manifest).names) == performed
    (tmp_path / "no.npz").write_text("nothing")
    refused = CliRunner().invoke(app, [*learn, "--force", str(tmp_path / "no.npz")])
    assert isinstance(refused.exception, (InputError, SystemExit))


def test_bad_input_is_named(tmp_path, capsys):
    with pytest.raises(InputError, match=r"expected a \.npz and at least one performance, got 'a\.npz', 0 people"):
        write_performances(tmp_path / "a.npz", people=0)
    assert main(["performances", "--people", "2", "-o", str(tmp_path / "a.txt")]) == 1
    assert "expected a .npz" in capsys.readouterr().err
