from __future__ import annotations

import csv
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from flowxfer.errors import InputError, WeightsError
from flowxfer.glow import load
from flowxfer.glow.training import TrainingConfig, train
from flowxfer.glow.training.logs import CsvLog, TensorBoardLog
from tests.glow.training.conftest import SIZE, TINY, smooth_pictures

Paired = Callable[..., TrainingConfig]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_weights_logs_and_pictures(paired: Paired, held_out: str) -> None:
    config = paired(validation=held_out)
    folder = Path(config.output)
    assert train(config) == folder / "model.safetensors"
    assert load(folder / "model.safetensors").config == TINY
    assert [row["step"] for row in rows(folder / "steps.csv")] == ["1", "2", "3", "4", "5", "6"]
    validations = [(row["method"], row["expression"]) for row in rows(folder / "validation.csv")]
    assert validations == [(m, e) for m in ("flow", "pixels") for e in ("smile", "frown", "mean")]
    pictures = {path.name for path in (folder / "pictures").iterdir()}
    assert pictures == {"0000006_samples.png", "0000006_transfers.png"}


def test_photographed_people_are_recorded_too(paired: Paired, photographs: str, held_out: str, tmp_path: Path) -> None:
    pictures = smooth_pictures(np.random.default_rng(0), 6)
    (tmp_path / "people").mkdir()
    for picture, name in zip(
        pictures, (f"{who}_{what}" for who in "abc" for what in ("neutral", "smiling")), strict=True
    ):
        Image.fromarray(picture).save(tmp_path / "people" / f"{name}.png")
    train(paired(pairs=photographs, actions=0.5, steps=2, validation=held_out, people=str(tmp_path / "people")))
    folder = Path(paired().output)
    assert {row["expression"] for row in rows(folder / "validation.csv")} == {"smile", "frown", "mean"}
    recorded = rows(folder / "people.csv")
    assert [(row["method"], row["expression"]) for row in recorded] == [
        (method, expression) for method in ("flow", "pixels", "actions") for expression in ("smiling", "mean")
    ]
    with Image.open(folder / "pictures" / "0000002_people.png") as sheet:
        assert sheet.size == (2 * 7 * SIZE, 2 * 3 * SIZE)


def test_a_run_of_minutes_ends(paired: Paired) -> None:
    steps: list[int] = []
    train(paired(minutes=0.01), on_step=lambda step, figures: steps.append(step))
    assert steps


def test_a_finished_run_is_not_overwritten(paired: Paired) -> None:
    train(paired(steps=1))
    with pytest.raises(InputError, match=r"expected no checkpoint in .*, got .*checkpoint.pt; --resume continues it"):
        train(paired(steps=1))


def test_resume_continues_the_logs(paired: Paired) -> None:
    train(paired(steps=3))
    steps: list[int] = []
    train(paired(steps=5), resume=True, on_step=lambda step, figures: steps.append(step))
    assert steps == [4, 5]
    assert [row["step"] for row in rows(Path(paired().output) / "steps.csv")] == ["1", "2", "3", "4", "5"]


def test_a_resumed_run_writes_at_the_steps_that_an_uninterrupted_one_writes_at(paired: Paired) -> None:
    train(paired(steps=3, log_steps=2))
    train(paired(steps=7, log_steps=2), resume=True)
    assert [row["step"] for row in rows(Path(paired().output) / "steps.csv")] == ["2", "4", "6"]


def test_a_log_whose_last_row_a_kill_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"step,bits\n1,0.5\n2,0.4\n3\n\xff\xff,\n4,")
    CsvLog(path, ("step", "bits"), step=9)
    assert rows(path) == [{"step": "1", "bits": "0.5"}, {"step": "2", "bits": "0.4"}, {"step": "4", "bits": ""}]


def test_sittings_make_up_a_run(paired: Paired) -> None:
    straight = load_file(train(paired(output=paired().output + "_straight")))
    steps: list[int] = []
    for sitting in range(6):
        train(paired(), resume=sitting > 0, sitting_minutes=0, on_step=lambda step, figures: steps.append(step))
    assert steps == [1, 2, 3, 4, 5, 6]
    pieces = load_file(Path(paired().output) / "model.safetensors")
    assert all(torch.equal(pieces[name], straight[name]) for name in straight)


def test_resume_needs_a_checkpoint(paired: Paired) -> None:
    with pytest.raises(WeightsError, match="expected a training checkpoint at"):
        train(paired(), resume=True)


def test_a_resumed_log_drops_what_will_come_again(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    log = CsvLog(path, ("step", "loss"), step=0)
    for step in (10, 20, 30):
        log.add({"step": step, "loss": step / 3, "more": 1})
    log = CsvLog(path, ("step", "loss"), step=20)
    log.add({"step": 30, "loss": 0.5})
    assert path.read_text().split() == ["step,loss", "10,3.33333", "20,6.66667", "30,0.5"]


def test_curves_are_for_those_who_have_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    TensorBoardLog(tmp_path / "curves").add("steps", {"step": 1, "loss": 0.5})
    assert not (tmp_path / "curves").exists()


def test_curves_are_written_where_tensorboard_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, float, int]] = []

    class SummaryWriter:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    TensorBoardLog(tmp_path).add("steps", {"step": 7, "loss": 0.5, "method": "flow"})
    assert written == [("steps/loss", 0.5, 7)]


def test_the_command_trains_and_reports_errors(faces: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        f'output = "{tmp_path / "out"}"\nfaces = "{faces}"\nsteps = 2\nbatch = 4\n'
        "[model]\nimage_size = 16\nlevels = 2\ndepth = 1\nwidth = 4\n"
    )
    command = [sys.executable, "-m", "flowxfer.glow.training", str(path)]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert first.stdout.strip() == str(tmp_path / "out" / "model.safetensors")
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 1
    assert "expected no checkpoint in" in second.stderr
    assert "Traceback" not in second.stderr
