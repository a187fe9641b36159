from __future__ import annotations

import sys

import pytest

from flowxfer.benchmarks import startup, timing
from flowxfer.benchmarks.contestants import CONTESTANTS
from flowxfer.benchmarks.timing import ContestantError, Samples, Worker, interleaved, workers


class Told:
    """A worker that answers as it was told to, and notes its turns."""

    def __init__(self, name, log, answers=None):
        self.name, self.log, self.answers = name, log, answers

    def do(self, order, **arguments):
        self.log.append(self.name)
        if self.answers is None:
            raise ContestantError("out of order")
        return {"wall": [0.25, 0.5], "cpu": [0.125, 0.125]}


def test_turns_rotate_and_a_failure_ends_only_its_own():
    log = []
    group = {name: Told(name, log, answers=name != "c" or None) for name in "abc"}
    samples, failures = interleaved(group, "encode", 1, 0.0)
    assert log == ["a", "b", "c", "b", "a"] or log[:3] == ["a", "b", "c"]
    assert log.count("c") == 1
    assert failures == {"c": "out of order"}
    assert set(samples) == {"a", "b"}
    assert samples["a"].wall == [0.25, 0.5] * log.count("a")
    assert log[3:5] == ["b", "a"]  # the order turns by one


def test_summary():
    summary = Samples([0.005, 0.001, 0.002, 0.004, 0.003], [0.25, 0.5, 0.75, 1.0, 1.25]).summary()
    assert summary == pytest.approx(
        {"median_ms": 3, "q1_ms": 2, "q3_ms": 4, "min_ms": 1, "cpu_ms": 750, "cpu_min_ms": 250, "calls": 5}
    )
    alone = Samples([0.002], [0.002]).summary()
    assert alone["q1_ms"] == alone["median_ms"] == alone["q3_ms"] == 2


def test_a_worker_tells_what_its_contestant_raised(tiny_model):
    with (
        workers({"flowxfer": {}}, tiny_model.path, 1) as group,
        pytest.raises(ContestantError, match="KeyError: 'nonsense'"),
    ):
        group["flowxfer"].do("turn", case="nonsense", batch=1, seconds=0.0)


def test_a_worker_that_dies_is_told_of(tiny_model, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        Worker("flowxfer", tiny_model.path, 1, {}) as worker,
        pytest.raises(ContestantError, match="flowxfer ended without an answer, with status 1"),
    ):
        worker.do("errors")


def test_a_turn_lasts_as_long_as_asked(tiny_model):
    with workers({"flowxfer-fp32": {}}, tiny_model.path, 1) as group:
        answer = group["flowxfer-fp32"].do("turn", case="encode", batch=2, seconds=timing.TURN_S)
    assert sum(answer["wall"]) >= timing.TURN_S > sum(answer["wall"][:-1])
    assert len(answer["cpu"]) == len(answer["wall"])
    assert all(cpu > 0 for cpu in answer["cpu"])


def test_fresh_processes(tiny_model):
    found = startup.fresh_processes("flowxfer", CONTESTANTS["flowxfer"], tiny_model.path, 1, 1)
    assert found is not None
    assert found["import_s"] > 0
    assert found["first_transfer_s"] > 0
    assert 20 < found["peak_memory_mb"] < 300  # this process has PyTorch, that one has not


def test_a_contestant_that_does_not_start_has_no_startup(tiny_model, tmp_path):
    assert startup.fresh_processes("flowxfer", CONTESTANTS["flowxfer"], tmp_path, 1, 1) is None
