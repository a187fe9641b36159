"""A guard that no noisy machine can fool: how many graphs a call runs, how often, and what it copies."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from flowxfer import Transferer
from flowxfer.engines.ort import session
from flowxfer.engines.probes import probe


@pytest.fixture
def faces():
    return np.stack([probe("photograph", 32, seed) for seed in range(4)])


@pytest.fixture
def transferer(tiny_bundle):
    return Transferer(tiny_bundle, threads=1, batch_size=2)


@pytest.fixture
def counted(transferer, monkeypatch):
    """Runs of each graph, and levels of latents that were copied to the host."""
    counts = Counter()
    graphs = {id(transferer._session._encode): "encode", id(transferer._session._combine): "combine"}
    run, levels = session._run, session.Chunk.levels

    def counting_run(graph, *arguments):
        counts[graphs.get(id(graph), "decode")] += 1
        return run(graph, *arguments)

    def counting_levels(chunk):
        counts["copies"] += 1
        return levels(chunk)

    monkeypatch.setattr(session, "_run", counting_run)
    monkeypatch.setattr(session.Chunk, "levels", counting_levels)
    return counts


CALLS = {
    "encode": (lambda t, x, e, n: t.encode(x), {"encode": 2}),
    "decode": (lambda t, x, e, n: t.decode(t.encode(x)), {"encode": 2, "decode": 2}),
    "transfer": (lambda t, x, e, n: t.transfer(x, e, n), {"encode": 2, "combine": 2, "decode": 2}),
    "sweep of one latent": (lambda t, x, e, n: t.sweep(e, e, n, [0, 1, 0.5]), {"combine": 2, "decode": 2}),
    "frames": (lambda t, x, e, n: list(t.frames(x, e, n)), {"encode": 2, "combine": 2, "decode": 2}),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_runs_each_graph_as_often_as_it_must(call, transferer, faces, counted):
    """Four faces in batches of two; one direction is one difference, of two chunks that are added up."""
    expression, neutral = transferer.encode(faces[:1]), transferer.encode(faces[1:2])
    counted.clear()
    function, expected = CALLS[call]
    function(transferer, faces, expression, neutral)
    assert dict(counted) == expected  # and so nothing was copied


def test_copies_are_counted(transferer, faces, counted):
    _ = transferer.encode(faces).levels
    assert counted["copies"] == 2


@pytest.mark.parametrize(("modules", "most"), [("flowxfer", 250), ("flowxfer.cli", 400)])
def test_an_import_loads_few_modules(modules, most):
    """Time to import follows their number; numpy alone is some 130."""
    code = f"import sys; before = set(sys.modules); import {modules}; print(len(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 100 < int(result.stdout) < most
