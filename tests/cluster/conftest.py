from __future__ import annotations

import numpy as np
import pytest

from flowxfer.cluster import here, run
from tests.cluster.inputs import SEGMENT, make_inputs, make_recipe, make_tasks


@pytest.fixture(autouse=True)
def everybody_looks_alike(monkeypatch):
    monkeypatch.setattr("flowxfer.faces.tracking.embed", lambda crop: np.zeros(128))


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("batch") / "inputs")


@pytest.fixture
def recipe(tiny_bundle):
    return make_recipe(tiny_bundle)


@pytest.fixture(scope="session")
def done_here(tmp_path_factory, inputs, tiny_bundle):
    """The results of one process, bytes by name."""
    output = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowxfer.faces.tracking.embed", lambda crop: np.zeros(128))
        summary = run(make_tasks(inputs, output), make_recipe(tiny_bundle), here, segment_frames=SEGMENT)
    assert not summary.failures
    return contents(output)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
