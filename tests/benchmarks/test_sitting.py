"""A sitting, with a renderer that writes noise."""

from __future__ import annotations

import csv
import os
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sitting import join, main, split

RENDERER = """
import os, pathlib, sys, time
import numpy as np
print(os.getpid(), flush=True)
folder, seed, size = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for shard in range(2):
    path = folder / f"{seed}_{shard}.npy"
    if path.with_suffix(".npz").exists():
        continue
    pictures = np.random.default_rng((seed, shard)).integers(0, 256, (2, 2, 5, size, size, 3))
    np.save(path, pictures.astype(np.uint8))
    np.savez(path.with_suffix(".npz"), strengths=np.full((2, 2), 0.5), expressions=np.ones((2, 2, 52)))
time.sleep(600)
"""
CONFIG = """
pairs = "{folder}/pairs/*.npy"
output = "{folder}/run"
steps = 3
batch = 8
warmup = 1
log_steps = 1
actions = 0.5
[model]
image_size = 8
levels = 1
depth = 1
width = 4
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a renderer and a run."""
    (tmp_path / "renderer.py").write_text(RENDERER)
    (tmp_path / "run.toml").write_text(CONFIG.format(folder=tmp_path))
    return tmp_path


def sitting(here: Path, output: str, *more: str) -> int:
    command = f"{shlex.quote(sys.executable)} {here / 'renderer.py'} {{folder}} {{seed}} {{size}}"
    arguments = [
        str(here / "run.toml"),
        "-o",
        str(here / output),
        "--render",
        command,
        "--renderers",
        "1",
        "--first",
        "2",
    ]
    return main([*arguments, *more])


@pytest.mark.parametrize("size", [0, 1, 1000, 1001, 2500])
def test_what_was_split_is_joined(tmp_path: Path, size: int) -> None:
    content = np.random.default_rng(0).bytes(size)
    (tmp_path / "state.pt").write_bytes(content)
    (tmp_path / "kept").mkdir()
    parts = split(tmp_path / "state.pt", tmp_path / "kept", 1000)
    assert len(parts) == max(1, -(-size // 1000))
    assert all(part.stat().st_size <= 1000 for part in parts)
    assert join("state.pt", tmp_path / "kept", tmp_path / "again")
    assert (tmp_path / "again" / "state.pt").read_bytes() == content
    assert not join("other.pt", tmp_path / "kept", tmp_path / "again")


def test_a_sitting_goes_on_where_the_one_before_stopped(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sitting(here, "first", "--minutes", "0") == 0
    (here / "run").rename(here / "lost")
    assert sitting(here, "second", "--state", str(here / "first")) == 0
    with (here / "second" / "steps.csv").open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    names = {path.name for path in (here / "second").iterdir()}
    assert {"model.safetensors", "actions.safetensors", "checkpoint.pt", "0000003_samples.png"} <= names
    assert "transfers a second" in capsys.readouterr().out
    process = int((here / "first" / "renderer_0.log").read_text())
    with pytest.raises(ProcessLookupError):  # no renderer outlives its sitting
        os.kill(process, 0)


def test_a_dry_run_leaves_the_run_alone(here: Path) -> None:
    assert sitting(here, "dry", "--dry-run") == 0
    assert not (here / "run").exists()
    assert not (here / "pairs").exists()
    with (here / "dry" / "second" / "steps.csv").open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2"]


def test_renderers_that_render_nothing_are_quoted(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "renderer.py").write_text("raise SystemExit('no head is here')")
    assert sitting(here, "out", "--patience", "1") == 1
    message = f"error: expected 2 shards that fit {here}/pairs/*.npy in 1 s, got 0: no head is here"
    assert message in capsys.readouterr().err


def test_a_run_without_pairs_has_no_sittings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "run.toml").write_text('output = "run"\nfaces = "faces"\n')
    assert sitting(here, "out") == 1
    assert "error: expected pairs in" in capsys.readouterr().err
