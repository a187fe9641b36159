from __future__ import annotations

import sys

import numpy as np
import onnxruntime
import pytest

from flowxfer.benchmarks import patterns
from flowxfer.benchmarks.patterns import LEVELS, Shape, measure, step_graph, ways


@pytest.mark.parametrize("shape", [Shape(12, 32, 8), Shape(24, 16, 4)])
def test_every_way_computes_the_same(shape, tmp_path):
    x = np.random.default_rng(0).standard_normal((3, shape.channels + 1, shape.size**2), np.float32)
    results = []
    for index, way in enumerate(ways()):
        step_graph(way, shape, tmp_path / f"{index}.onnx")
        results.append(onnxruntime.InferenceSession(tmp_path / f"{index}.onnx").run(None, {"x": x})[0])
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-4, atol=1e-4)
    assert len(results) == 4 * len(LEVELS)
    assert results[0].std() > 0.1


def test_measure_times_every_way():
    found = measure(Shape(12, 16, 4), 2, threads=1, seconds=0.02)
    assert set(found) == set(ways())
    assert all(0 < value < float("inf") for times in found.values() for value in times)


def test_the_command_prints_a_table_for_each_shape(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["patterns", "synthetic-64", "--batch", "1", "--seconds", "0.001"])
    monkeypatch.setattr(patterns, "_shapes", lambda config: [Shape(12, 16, 4)])
    patterns.main()
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0] == "12 channels, width 16, 4 x 4, batch 1"
    assert len(lines) == 1 + len(ways())
