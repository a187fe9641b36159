"""The table of faults names tests that exist, and quotes what is said."""

from __future__ import annotations

import ast
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.hardening.fuzz import MODULES, kinds

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


def sentences():
    """All text in the sources, with … for what is put into it, and what the system says."""
    for path in (ROOT / "flowxfer").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    yield from map(os.strerror, errno.errorcode)


def test_what_is_quoted_is_said():
    quoted = [quote for row in rows() for quote in re.findall("“(.+?)”", row.split("|")[2])]
    assert len(quoted) > 35
    parts = {part.strip(" ,;()") for quote in quoted for part in quote.split("…")}
    assert len(parts) > 45
    said = "\n".join(sentences())
    assert sorted(part for part in parts if part not in said) == []


def test_the_number_of_inputs_is_that_of_ci():
    inputs = sum(kind.inputs for module in MODULES for kind in kinds(module).values())
    assert f"CI tries {inputs:,} damaged files" in (ROOT / "docs" / "faults.md").read_text("utf-8")
