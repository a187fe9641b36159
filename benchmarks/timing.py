"""Contestants called in turns, and what their times come to."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from flowxfer.errors import FlowxferError

TURN_S = 0.05  # long enough that the caches are the contestant's own, short enough that noise meets them all
MIN_TURNS = 3
PATIENCE = 3  # how many times its seconds a cell may take until it has its turns; then two are enough

__all__ = ["ContestantError", "Samples", "Worker", "interleaved", "workers"]


class ContestantError(FlowxferError):
    """A contestant that cannot do what it was asked for; the suite reports it and goes on."""


@dataclass
class Samples:
    """Seconds of one contestant's calls in one cell: of the clock, and of all its threads' work."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Median, quartiles and least time in milliseconds, the median of the work, and the number of calls."""
        low, middle, high = _quartiles(self.wall)
        return {
            "median_ms": 1e3 * middle,
            "q1_ms": 1e3 * low,
            "q3_ms": 1e3 * high,
            "min_ms": 1e3 * min(self.wall),
            "cpu_ms": 1e3 * statistics.median(self.cpu),
            "cpu_min_ms": 1e3 * min(self.cpu),
            "calls": len(self.wall),
        }


class Worker:
    """A process of :mod:`.worker`.

    Args:
        name: the contestant.
        model: the model's folder.
        threads: how many it may use.
        environment: variables for it alone.
    """

    def __init__(self, name: str, model: Path, threads: int, environment: Mapping[str, str]) -> None:
        self.name = name
        limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        caches = {"TORCHINDUCTOR_CACHE_DIR": str(model.parent / "inductor")}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "flowxfer.benchmarks.worker", name, str(model), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | limits | caches | dict(environment),
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def do(self, order: str, **arguments: Any) -> dict[str, Any]:
        """Give an order and wait for the answer.

        Raises:
            ContestantError: the contestant failed; the message is its own.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": order, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ContestantError(f"{self.name} ended without an answer, with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ContestantError(answer["error"])
        return answer


@contextmanager
def workers(environments: Mapping[str, Mapping[str, str]], model: Path, threads: int) -> Iterator[dict[str, Worker]]:
    """A process for each contestant; they end with the block."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(Worker(name, model, threads, environment))
            for name, environment in environments.items()
        }


def interleaved(
    group: Mapping[str, Worker], case: str, batch: int, seconds: float
) -> tuple[dict[str, Samples], dict[str, str]]:
    """Time one case with every worker, in turns whose order rotates.

    Args:
        group: workers by name.
        case: of :data:`.cases.CASES`.
        batch: images.
        seconds: for each contestant, about; slow ones take their three turns.

    Returns:
        Samples of those that could, and the reasons of those that could not.
    """
    samples, failures = {name: Samples() for name in group}, {}
    start, turns = time.perf_counter(), 0
    while samples:
        for name in _rotated(list(samples), turns):
            try:
                answer = group[name].do("turn", case=case, batch=batch, seconds=min(TURN_S, seconds))
            except ContestantError as error:
                failures[name] = str(error)
                del samples[name]
                continue
            samples[name].wall += answer["wall"]
            samples[name].cpu += answer["cpu"]
        turns += 1
        spent = (time.perf_counter() - start) / max(len(samples), 1)
        if spent > seconds and turns >= (MIN_TURNS if spent < PATIENCE * seconds else 2):
            break
    return samples, failures


def _rotated(names: list[str], by: int) -> list[str]:
    by %= len(names)
    return names[by:] + names[:by]


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high
