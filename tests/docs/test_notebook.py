"""The notebook runs cell by cell. Its cells are plain Python, so no Jupyter is needed to execute them."""

from __future__ import annotations

import ast
import json

import numpy as np
import pytest
from PIL import Image

from tests.docs.pages import PAGES


@pytest.fixture(scope="module")
def cells():
    notebook = json.loads((PAGES / "notebook" / "flowxfer.ipynb").read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    return notebook["cells"]


def test_it_has_twelve_cells_and_no_outputs(cells):
    assert len(cells) == 12
    assert len({cell["id"] for cell in cells}) == 12
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) == 6
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


def test_it_runs(cells, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace, shown = {}, []
    for cell in cells:
        if cell["cell_type"] == "code":
            shown.append(execute("".join(cell["source"]), cell["id"], namespace))
    assert [type(value) for value in shown if value is not None] == [Image.Image] * 3
    assert not list(tmp_path.iterdir())
    assert namespace["means"].keys() == {"id1", "id2", "id3", "id4", "id5"}
    assert all(len(pictures) == 11 for pictures in namespace["results"].values())
    assert np.isfinite(namespace["to_target"]).all()
    assert namespace["to_target"][-1] > namespace["to_target"][0]  # what is transferred is not only the expression
    printed = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("alpha") for line in printed) == 11
    assert sum("changed region" in line for line in printed) == 6


def execute(source, name, namespace):
    """Run a cell; return the value of its last line, which Jupyter would show."""
    module = ast.parse(source, name)
    last = module.body.pop() if isinstance(module.body[-1], ast.Expr) else None
    exec(compile(module, name, "exec"), namespace)
    return eval(compile(ast.Expression(last.value), name, "eval"), namespace) if last else None
