"""Films shared out among CUDA devices: a process for each, which sees no other device and holds the model.

ONNX Runtime and PyTorch both take the first device that they see, so ``CUDA_VISIBLE_DEVICES``, set before either is
loaded, tells a worker which one is its own.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import pickle
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

from flowxfer.cluster.tasks import FilmTask
from flowxfer.engines.ort.providers import CUDA, TENSORRT
from flowxfer.errors import FlowxferError, InputError, VideoError
from flowxfer.transferer import Transferer
from flowxfer.video.options import Report
from flowxfer.video.pipeline import Progress

__all__ = ["Do", "devices_of", "share"]

log = logging.getLogger(__name__)

_VISIBLE = "CUDA_VISIBLE_DEVICES"


Do: TypeAlias = "Callable[[FilmTask, Callable[[Progress], None] | None], Report]"
"""Does a film and tells its progress; it can be pickled for a worker."""


def devices_of(transferer: Transferer, environment: Mapping[str, str] = os.environ) -> list[str]:
    """List the CUDA devices that are visible, by the names that ``CUDA_VISIBLE_DEVICES`` takes.

    Returns:
        An empty list where the model does not run on CUDA.
    """
    if not {CUDA, TENSORRT} & set(transferer.providers):
        return []
    count = _visible()
    named = [name.strip() for name in environment.get(_VISIBLE, "").split(",") if name.strip()]
    return named[:count] or [str(number) for number in range(count)]


def _visible() -> int:
    """Ask the driver how many devices this process sees."""
    count = ctypes.c_int()
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    return count.value if cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def share(
    tasks: Sequence[FilmTask],
    devices: Sequence[str],
    do: Do,
    *,
    starting: Callable[[Path], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> dict[Path, Report | Exception]:
    """Do films on several devices at once: whoever is free takes the next one.

    Args:
        tasks: the films.
        devices: names for ``CUDA_VISIBLE_DEVICES``, one for each worker.
        do: what is done to a film.
        starting: is told of each film before it is begun, in a thread of its worker.
        progress: is told after each frame, likewise.

    Returns:
        For each film its report, or what was wrong.

    Raises:
        InputError: ``do`` cannot be pickled.
    """
    try:
        job = pickle.dumps((do, progress is not None))
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise InputError(
            f"expected a detector, a paste and faces that other processes can be given, got {error}; let one device do "
            f"all films: set {_VISIBLE} to it"
        ) from error
    waiting, results = deque(tasks), dict[Path, "Report | Exception"]()
    workers = [_Worker(device, job, progress) for device in devices[: len(tasks)]]
    with ThreadPoolExecutor(len(workers)) as threads:
        try:
            for done in [threads.submit(worker.serve, waiting, results, starting) for worker in workers]:
                done.result()
        except BaseException:
            waiting.clear()
            for worker in workers:
                worker.end()
            raise
    refusals = [worker.refusal for worker in workers if worker.refusal]
    for task in waiting:  # nobody could take them
        results[task.source] = refusals[0]
    return results


class _Worker:
    """A process, seen from the one that hands out films."""

    def __init__(self, device: str, job: bytes, progress: Callable[[Progress], None] | None) -> None:
        self._device, self._job, self._progress = device, job, progress
        self._process: Any = None
        self._ended = False
        self.refusal: Exception | None = None

    def serve(
        self,
        waiting: deque[FilmTask],
        results: dict[Path, Report | Exception],
        starting: Callable[[Path], None] | None,
    ) -> None:
        """Take films until there are none; end where the worker cannot even begin."""
        pipe: Connection | None = None
        while waiting and not self._ended:
            pipe = pipe or self._started()
            if pipe is None:
                log.warning("the worker on CUDA device %s cannot work: %s", self._device, self.refusal)
                return
            try:
                task = waiting.popleft()
            except IndexError:
                break
            if starting:
                starting(task.source)
            try:
                pipe.send(task)
                results[task.source] = self._awaited(pipe)
            except (EOFError, OSError):
                results[task.source] = VideoError(
                    f"its worker on CUDA device {self._device} was lost; is there enough memory? resume goes on with it"
                )
                self._process.join()
                pipe = None
        if pipe is not None:
            pipe.send(None)
            self._process.join()

    def end(self) -> None:
        """End the process, whatever it does: what is done of its film is safe."""
        self._ended = True
        if self._process is not None:
            self._process.terminate()
            self._process.join()

    def _started(self) -> Connection | None:
        context = multiprocessing.get_context("spawn")  # CUDA does not outlive a fork
        pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, self._device, self._job), daemon=True)
        self._process.start()
        theirs.close()  # so that the worker's end is the end of the pipe
        try:
            self.refusal = pipe.recv()
        except EOFError:
            self.refusal = VideoError(f"the worker on CUDA device {self._device} could not be started")
        return None if self.refusal else pipe

    def _awaited(self, pipe: Connection) -> Report | Exception:
        while isinstance(message := pipe.recv(), Progress):
            if self._progress:
                self._progress(message)
        result: Report | Exception = message
        return result


def _work(pipe: Connection, device: str, job: bytes) -> None:
    """What a worker's process does."""
    os.environ[_VISIBLE] = device  # before what is in the job loads the model
    try:
        try:
            do, tells = pickle.loads(job)
        except FlowxferError as error:
            pipe.send(VideoError(str(error)))
            return
        pipe.send(None)
        while (task := pipe.recv()) is not None:
            pipe.send(_outcome(do, task, pipe.send if tells else None))
    except (KeyboardInterrupt, EOFError):
        pass  # Ctrl-C reaches all processes of a terminal; who hands out films may also be gone


def _outcome(do: Do, task: FilmTask, progress: Callable[[Progress], None] | None) -> Report | Exception:
    try:
        return do(task, progress)
    except (FlowxferError, OSError) as error:
        return VideoError(str(error))  # a sentence survives pickling, whatever its class takes
