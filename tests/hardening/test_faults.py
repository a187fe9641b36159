"""The table of faults names tests that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CELL = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows():
    lines = (ROOT / "docs" / "faults.md").read_text().splitlines()
    return [line for line in lines if line.startswith("| ") and not line.startswith("| what happens")]


def test_every_row_names_a_test_that_pytest_collects():
    named = [CELL.findall(row.split("|")[5]) for row in rows()]
    assert len(named) > 30
    assert all(named), [row for row, names in zip(rows(), named, strict=True) if not names]
    tests = {(path, name) for names in named for path, name in names}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider", "-q"]
    ids = sorted(f"{path}::{name}" for path, name in tests)
    done = subprocess.run([*command, *ids], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_row_is_whole():
    assert [row for row in rows() if row.count("|") != 6] == []
