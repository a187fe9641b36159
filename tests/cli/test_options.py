"""What computes the model, on the command line: the same options of every command that runs one."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, ClassVar

import numpy as np
import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from flowxfer import Latents, images
from flowxfer.cli import app
from flowxfer.cli.groups import grouped
from flowxfer.engines.probes import probe

COMMANDS = get_command(app).commands
RUNS_A_MODEL = [name for name, command in COMMANDS.items() if any(p.name == "model" for p in command.params)]


@pytest.fixture
def face(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images.save(probe("photograph", 32, seed=0), "face.png")


def run(line, status=0):
    result = CliRunner().invoke(app, shlex.split(line))
    assert result.exit_code == status, result.output
    return result


@pytest.mark.parametrize("name", sorted(set(RUNS_A_MODEL) - {"bench"}))
def test_every_command_that_runs_a_model_has_them_together(name):
    flags = [param.opts[0] for param in COMMANDS[name].params]
    expected = [
        "--model",
        "--model-engine" if name == "batch" else "--engine",
        "--precision",
        "--provider",
        "--threads",
    ]
    start = flags.index("--model")
    assert flags[start : start + len(expected)] == expected


def test_there_are_such_commands():
    assert {"transfer", "sweep", "video", "photo", "batch", "serve", "app", "paper", "fidelity"} < set(RUNS_A_MODEL)


def test_sampling_has_a_model_of_its_own():
    default = {name: next(p.default for p in COMMANDS[name].params if p.name == "model") for name in ("mix", "sample")}
    assert default == {"mix": "synthetic-64", "sample": "synthetic-64-samples"}


@pytest.mark.parametrize(
    ("options", "numerics"),
    [
        ("", "exact-fp32, ONNX Runtime on CPU"),
        ("--engine torch --precision exact-bf16", "exact-bf16, torch on cpu"),
        ("--engine torch --provider cpu --threads 1", "exact-fp32, torch on cpu"),
        ("--engine openvino --threads 1", "exact-fp32 in float32, OpenVINO on CPU"),
    ],
)
def test_latents_say_what_computed_them(face, tiny_bundle, options, numerics):
    if "openvino" in options and find_spec("openvino") is None:
        pytest.skip("needs the extra openvino")
    run(f"encode face.png -o z.safetensors -m {tiny_bundle} {options}")
    assert Latents.load("z.safetensors").numerics == numerics
    run(f"decode z.safetensors -o back.png -m {tiny_bundle} {options}")
    np.testing.assert_array_equal(images.load("back.png", 32), images.load("face.png", 32))


def test_threads_and_the_rest_arrive(face, tiny_bundle, monkeypatch):
    asked = {}

    def noted(model, **options):
        asked.update(options)
        raise typer.Exit(3)

    monkeypatch.setattr("flowxfer.transferer.Transferer", noted)
    run(f"encode face.png -o z.safetensors -m {tiny_bundle} --engine torch --threads 3 --provider cuda", 3)
    assert asked == {
        "engine": "torch",
        "precision": None,
        "providers": ["cuda"],
        "threads": 3,
        "batch_size": None,
        "plain": False,
    }
    run(f"serve -m {tiny_bundle} --batch-size 5", 3)
    assert (asked["batch_size"], asked["providers"]) == (5, None)


def test_what_an_engine_has_not_is_one_sentence(face, tiny_bundle):
    result = run(f"encode face.png -o z.safetensors -m {tiny_bundle} --precision exact-bf16", 2)
    assert 'engine="torch" computes a bundle in any exact precision' in result.stderr
    assert result.stderr.count("\n") == 1


# ---- how a group becomes options


@dataclass(frozen=True)
class Colour:
    PANEL: ClassVar = "Colour"

    red: Annotated[int, typer.Option(help="How red.")] = 1
    green: Annotated[int | None, typer.Option("--green", "-g")] = None


GREY = Colour(red=2)


def test_a_group_is_an_option_for_each_field():
    given = []

    @grouped
    def paint(name: Annotated[str, typer.Argument()], colour: Colour = GREY, dry: bool = False) -> None:
        """Paint."""
        given.append((name, colour, dry))

    program = typer.Typer()
    program.command()(paint)
    for line, expected in (
        ("wall", ("wall", Colour(red=2), False)),
        ("wall --red 7 -g 8 --dry", ("wall", Colour(red=7, green=8), True)),
    ):
        assert CliRunner().invoke(program, shlex.split(line)).exit_code == 0
        assert given.pop() == expected
    shown = CliRunner().invoke(program, ["--help"]).stdout
    assert shown.index("--dry") < shown.index("─ Colour ─") < shown.index("--red") < shown.index("--green")
    assert "Paint." in shown
    assert "How red." in shown
