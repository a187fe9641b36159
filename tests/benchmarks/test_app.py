"""How soon the web app answers: every way does answer, rightly, and is told in a table."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("gradio")


def test_every_way_answers_and_is_told(tiny_bundle):
    command = [sys.executable, "-m", "flowxfer.benchmarks.app", "--model", str(tiny_bundle), "--moves", "2"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "2 moves" in lines[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[4:]]
    assert [name for name, *_ in cells] == ["in the process", "over HTTP", "over HTTP, with the picture"]
    assert all(float(median) > 0 and " to " in quartiles for _, median, quartiles in cells)
