"""Where tasks are done: in this process, or by the workers of a Ray cluster."""

from __future__ import annotations

import logging
import math
import os
import pickle
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from flowxfer.cluster.edit_worker import EditWorker
from flowxfer.cluster.follower import Follower
from flowxfer.cluster.recipe import Recipe
from flowxfer.cluster.tasks import Film, Input, Result
from flowxfer.errors import ClusterError, InputError, unimportable

__all__ = ["Engine", "OnRay", "here"]

Engine: TypeAlias = "Callable[[Sequence[Input], Recipe], Iterator[Result]]"
"""Does the inputs' work, and yields the results in the order in which they are done."""

_PATIENCE_S = 10
# A lost worker is started again, and its task tried again: without a limit, an input that kills workers would kill them
# for ever. Ray 2.64 will take these no more, which is why the extra asks for an older one.
_ON_LOSS: dict[str, Any] = {"max_restarts": -1, "max_task_retries": 3, "scheduling_strategy": "SPREAD"}


def here(tasks: Sequence[Input], recipe: Recipe) -> Iterator[Result]:
    """Do the tasks in this process, one after the other.

    Raises:
        FlowxferError: the model cannot be loaded.
    """
    follower, edit_worker = Follower(recipe), EditWorker(recipe)
    for task in tasks:
        for followed in follower(task):
            yield from edit_worker(followed)


@dataclass(frozen=True)
class OnRay:
    """Does tasks on a Ray cluster, by Ray Data: one worker with the model a GPU, or a core where there are none.

    Ray Data starts the workers, hands out the tasks and starts a lost worker again, whose task is then tried again, at
    most three times. Inputs and outputs are files that every machine sees under the same names.

    Args:
        address: of the cluster, such as ``"10.0.0.1:6379"`` or ``"auto"`` on one of its machines; by default a cluster
            of this machine alone is started, and ended afterwards. Where Ray runs already in this process, that is it.
        workers: with a model each; by default as many as there are GPUs or cores, and never more than tasks.

    Raises:
        InputError: there is to be less than one worker.
        MissingExtraError: Ray is not installed.
    """

    address: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(f"expected at least 1 worker, got {self.workers}")
        try:
            import ray.data  # noqa: F401
        except ImportError as error:
            raise unimportable(error, error.name or "ray", "cluster", "Working on a Ray cluster") from error

    def __call__(self, tasks: Sequence[Input], recipe: Recipe) -> Iterator[Result]:
        """Do the tasks, and yield their results in the order in which they are done.

        Raises:
            ClusterError: the cluster cannot be reached, or cannot run the workers.
        """
        import ray

        started = not ray.is_initialized()
        guard = self._connect() if started else None
        try:
            yield from _results(tasks, recipe, self.workers)
        except ray.exceptions.RayError as error:
            raise ClusterError(f"expected the cluster's workers to do the tasks, but {_cause(error)}") from error
        finally:
            if started:
                ray.shutdown()
            if guard is not None:
                guard.kill()
                guard.communicate()

    def _connect(self) -> subprocess.Popen[bytes] | None:
        """Connect, or start Ray here; then what ends it if this process is killed."""
        import ray

        _knock(self.address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that we start tells its makers nothing
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what fails, we say ourselves
        try:
            ray.init(
                self.address or "local",
                include_dashboard=None if self.address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ClusterError(
                f"expected a Ray cluster at {self.address or 'this machine'}, but {error}; `ray status` on its "
                "machines says whether it runs"
            ) from error
        return None if self.address or sys.platform == "win32" else _guard()


def _guard() -> subprocess.Popen[bytes]:
    """Start what ends the Ray of this process if it is killed."""
    import ray

    node: Any = ray._private.worker._global_node
    folder = node.get_session_dir_path()  # which all of its processes name
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("_guard.py")), Path(folder).name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0)


def _knock(address: str | None) -> None:
    """Find out at once whether somebody is there; Ray would go on trying for minutes."""
    host, _, port = (address or "").rpartition(":")
    if not (host and port.isdecimal() and "/" not in host):
        return  # auto, local, ray://…
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
    except OSError as error:
        raise ClusterError(
            f"expected a Ray cluster at {address}, but {error.strerror or error}; `ray status` on its machines says "
            "whether it runs"
        ) from error


class _Stage:
    """Rows of pickled tasks to rows of pickled results: what Ray Data carries."""

    def __init__(self, work: Callable[[Any], Iterator[Any]]) -> None:
        self._work = work

    def __call__(self, rows: dict[str, Sequence[bytes]]) -> Iterator[dict[str, list[bytes]]]:
        for row in rows["task"]:
            for result in self._work(pickle.loads(row)):
                yield {"task": [pickle.dumps(result)]}


class _Following(_Stage):
    def __init__(self, recipe: Recipe) -> None:
        super().__init__(Follower(recipe))


class _Changing(_Stage):
    def __init__(self, recipe: Recipe) -> None:
        super().__init__(EditWorker(recipe))


def _results(tasks: Sequence[Input], recipe: Recipe, workers: int | None) -> Iterator[Result]:
    import ray
    from ray.data import ActorPoolStrategy, DataContext, Dataset

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus, cores = (int(resources.get(kind, 0)) for kind in ("GPU", "CPU"))
    size = min(workers or gpus or cores or 1, sum(map(_parts, tasks)))
    films = sum(isinstance(task, Film) for task in tasks)
    if recipe.threads is None and not gpus:
        recipe = replace(recipe, threads=1)  # the other cores are other workers'
    with DataContext.current(_context()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")
        items = [{"task": pickle.dumps(task)} for task in tasks]
        rows: Dataset = ray.data.from_items(items, override_num_blocks=len(items))
        if films:  # they take no core for themselves, or the followers would wait for one that the changers hold
            rows = rows.map_batches(
                _Following,
                batch_size=1,
                fn_constructor_args=(recipe,),
                compute=ActorPoolStrategy(size=min(films, size)),
                num_cpus=0,
                **_ON_LOSS,
            )
        rows = rows.map_batches(
            _Changing,
            batch_size=1,
            fn_constructor_args=(recipe,),
            compute=ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=2),
            num_cpus=1,
            num_gpus=1 if gpus else None,
            **_ON_LOSS,
        )
        for row in rows.iter_rows():
            yield pickle.loads(row["task"])


def _context() -> Any:
    from ray.data import DataContext

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it has a page of traces for each
    context = DataContext.get_current().copy()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.target_max_block_size = 1  # each result goes on at once, and does not wait for a block to be full
    context.max_errored_blocks = -1  # a task that fails for good is missing in the end; the others are done
    return context


def _parts(task: Input) -> int:
    return math.ceil((task.frames or 1) / task.segment_frames) if isinstance(task, Film) else 1


def _cause(error: BaseException) -> str:
    """The last line that an error says, which is the cause of it."""
    return str(error).strip().splitlines()[-1]
