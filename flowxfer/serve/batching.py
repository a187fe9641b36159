"""Jobs of many threads, done in batches by one."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

__all__ = ["Batcher", "Work"]

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Item]], Sequence[Result]]
"""Takes the items of several jobs and returns a result for each, the same as if it had got them one by one."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Job(Generic[Item, Result]):
    work: Work[Item, Result]
    item: Item
    size: int
    future: Future[Result] = field(default_factory=Future)


class Batcher:
    """One thread that does jobs in the order they came, those of one kind together.

    A batch begins with the oldest job and takes in every job of the same work that is there, or comes within a few
    milliseconds, until it is full. A job that was cancelled while it waited is dropped. Where a batch fails, its jobs
    are done one by one, so that only the guilty one fails.

    Args:
        batch_size: how much a batch holds, in units of the jobs' sizes; a larger job goes alone.
        wait_s: how long an unfilled batch waits for more.
    """

    def __init__(self, batch_size: int, wait_s: float = 0.002) -> None:
        self._batch_size, self._wait_s = batch_size, wait_s
        self._jobs: deque[_Job[Any, Any]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="flowxfer-batcher", daemon=True)
        self._thread.start()

    def submit(self, work: Work[Item, Result], item: Item, size: int = 1) -> Future[Result]:
        """Hand in a job; its future can be cancelled until the job is begun.

        Raises:
            RuntimeError: the batcher is closed.
        """
        job = _Job(work, item, size)
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Do what was handed in, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _serve(self) -> None:
        while batch := self._next():
            if running := [job for job in batch if job.future.set_running_or_notify_cancel()]:
                _do(running)

    def _next(self) -> list[_Job[Any, Any]]:
        """Wait for a job and gather others of its kind; empty when closed and done."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            if not self._jobs:
                return []
            batch = [self._jobs.popleft()]
            deadline = time.monotonic() + self._wait_s
            while True:
                self._gather(batch)
                left = deadline - time.monotonic()
                if sum(job.size for job in batch) >= self._batch_size or left <= 0 or self._closed:
                    return batch
                self._changed.wait(left)

    def _gather(self, batch: list[_Job[Any, Any]]) -> None:
        room = self._batch_size - sum(job.size for job in batch)
        for job in [job for job in self._jobs if job.work == batch[0].work]:
            if job.size > room:
                break  # whoever came first goes first
            self._jobs.remove(job)
            batch.append(job)
            room -= job.size


def _do(jobs: Sequence[_Job[Any, Any]]) -> None:
    try:
        results = list(zip(jobs, jobs[0].work([job.item for job in jobs]), strict=True))
    except Exception as error:  # whatever it is, it belongs to whoever handed in the job
        if len(jobs) == 1:
            jobs[0].future.set_exception(error)
            return
        log.warning("a batch of %d jobs failed (%s); doing them one by one", len(jobs), error)
        for job in jobs:
            _do([job])
        return
    for job, result in results:
        job.future.set_result(result)
