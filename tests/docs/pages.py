"""Runs the blocks of a page, in order: ```sh by bash, ```python in one namespace. Indented blocks are only shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs"


def _bash(example):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", example.parsed]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PATH": path}, check=False)
    assert done.returncode == 0, f"{example.path}:{example.line}: {example.parsed}\n{done.stderr}"


SYBIL = Sybil(parsers=[CodeBlockParser("sh", _bash), PythonCodeBlockParser()])


def run(path):
    """Run a page in the current folder; return how many blocks it had."""
    examples = list(SYBIL.parse(path))
    for example in examples:
        example.evaluate()
    return len(examples)
