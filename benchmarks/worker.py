"""One contestant in a process of its own, told what to do by lines of JSON.

What libraries print goes to stderr; stdout carries the answers, a line for each order.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .cases import CASES, Inputs
from .contestants import CONTESTANTS
from .models import ALPHA, ModelFolder, photographs
from .peers.runner import Runner

GEMM = "gemm"  # the contestant that measures the machine: products of square matrices
GEMM_SIZE = 1024
LONG_S = 0.5

__all__ = ["GEMM", "GEMM_SIZE", "Worker", "main"]


class Worker:
    """Does the orders."""

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        self._name, self._model, self._threads = name, ModelFolder(folder), threads
        self._runner: Runner | None = None
        self._inputs: dict[int, Inputs] = {}
        self._warm: set[tuple[str, int]] = set()

    def prepare(self) -> dict[str, Any]:
        """Make the files that the contestant needs."""
        CONTESTANTS[self._name].load().prepare(self._model)
        return {}

    def first_transfer(self) -> dict[str, Any]:
        """Open the model and transfer once: what a fresh process waits for, and the memory that it took."""
        images = photographs(self._model.manifest.image_size, 2)
        start = time.perf_counter()
        runner = self._open()
        direction = runner.direction(runner.encode(images[1:]), runner.encode(images[:1]))
        runner.transfer(images[:1], direction)
        return {"first_transfer_s": time.perf_counter() - start, "peak_memory_mb": _peak_memory_mb()}

    def errors(self) -> dict[str, Any]:
        """Round trip in grey levels, and differences from the reference where the weights are the same.

        ``latents_error`` is the largest difference in units of a level's root mean square, ``edit_error`` the mean
        difference of an edited picture in grey levels.
        """
        runner, reference = self._open(), self._model.reference()
        images = reference["images"]
        latents = runner.encode(images)
        off = np.abs(runner.decode(latents).astype(int) - images)
        result = {"round_trip_wrong": float((off > 0).mean()), "round_trip_largest": int(off.max())}
        if CONTESTANTS[self._name].same_weights:
            differences = [
                np.abs(z - reference[f"z{level}"]).max() / np.sqrt(np.mean(reference[f"z{level}"] ** 2))
                for level, z in enumerate(runner.levels(latents))
            ]
            direction = runner.direction(runner.encode(images[1:]), runner.encode(images[:1]))
            edited = runner.edit(runner.encode(images[:1]), direction, [ALPHA])
            result["latents_error"] = float(max(differences))
            result["edit_error"] = float(np.abs(edited.astype(int) - reference["edited"]).mean())
        return result

    def turn(self, case: str, batch: int, seconds: float) -> dict[str, Any]:
        """Time one case for about that long, at least once, after one call that is not timed.

        A call so long that it fills the caches itself goes without the one before it, but for the very first.
        """
        call = self._call(case, batch)
        first = (case, batch) not in self._warm
        self._warm.add((case, batch))
        times = [_timed(call)]
        if first or times[0][0] < LONG_S:
            times.clear()
        while not times or sum(wall for wall, _ in times) < seconds:
            times.append(_timed(call))
        wall, cpu = zip(*times, strict=True)
        return {"wall": list(wall), "cpu": list(cpu)}

    def _call(self, case: str, batch: int) -> Callable[[], Any]:
        if self._name == GEMM:
            return _products()
        runner = self._open()
        if batch not in self._inputs:
            images = photographs(self._model.manifest.image_size, batch)
            direction = runner.direction(runner.encode(images[-1:]), runner.encode(images[:1]))
            self._inputs[batch] = Inputs(images, runner.encode(images), direction)
        inputs = self._inputs[batch]
        return lambda: CASES[case].run(runner, inputs)

    def _open(self) -> Runner:
        if self._runner is None:
            self._runner = CONTESTANTS[self._name].load()(self._model, self._threads)
        return self._runner


def _timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the clock, and of all threads' work."""
    start, work = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - work


def _peak_memory_mb() -> float:
    """Of this process; getrusage tells what the process that started this one had, where that was more."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _products() -> Callable[[], Any]:
    """A product of square matrices in float32, by PyTorch's library where it is installed, else NumPy's."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((GEMM_SIZE, GEMM_SIZE)).astype(np.float32) for _ in range(2))
    try:
        import torch
    except ImportError:
        return lambda: a @ b
    x, y, out = torch.from_numpy(a), torch.from_numpy(b), torch.empty(GEMM_SIZE, GEMM_SIZE)
    return lambda: torch.mm(x, y, out=out)


def main() -> None:
    """Read the contestant, its model and its threads from the arguments, and orders from stdin until it ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = getattr(worker, order.pop("do"))(**order)
        except Exception as error:  # whatever an engine raises is this contestant's result, not the suite's end
            answer = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[-1] if str(error) else ''}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
