"""A folder of films, one after another, or one on each CUDA device; what fails does not stop the rest."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from flowxfer.cluster.tasks import FilmTask
from flowxfer.cluster.workers import Do, devices_of, share
from flowxfer.errors import FlowxferError, VideoError
from flowxfer.latents import Latents
from flowxfer.transferer import Faces, Transferer
from flowxfer.types import Alpha
from flowxfer.video.io.opening import Sources, films_in
from flowxfer.video.io.suffixes import READ, WRITTEN
from flowxfer.video.options import Options, Report
from flowxfer.video.pipeline import Progress
from flowxfer.video.processing import process

__all__ = ["Outcome", "process_folder"]


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of a folder of films.

    Attributes:
        reports: of those that are done, in order; those that were there already are left out.
        failures: what was wrong with the others.
    """

    reports: list[Report] = field(default_factory=list)
    failures: dict[Path, Exception] = field(default_factory=dict)


def process_folder(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    expression: Faces | None = None,
    neutral: Faces | None = None,
    direction: Latents | None = None,
    driver: Sources | None = None,
    alpha: Alpha | None = None,
    transferer: Transferer | None = None,
    options: Options = Options(),  # noqa: B008  # it is frozen
    starting: Callable[[Path], None] | None = None,
    devices: Sequence[str] | None = None,
) -> Outcome:
    """Do to every film in a folder what :func:`~flowxfer.video.process` does to one.

    Where the model runs on CUDA and there are several devices, each has a worker process, and whoever is free takes the
    next film; a script then needs ``if __name__ == "__main__":`` about what it does. Otherwise the films are done one
    after another, with all threads for each.

    Args:
        folder: of the films.
        output: the folder for the results, which keep their names; .avi and others that cannot be written become .mkv.
        expression: as :func:`~flowxfer.video.process` takes it.
        neutral: likewise.
        direction: likewise.
        driver: likewise.
        alpha: likewise.
        transferer: likewise.
        options: for each film; with ``resume``, results that are there already are left as they are. A log and a
            preview go beside each result: of the name ``log``, only that there is one counts.
        starting: is told of each film before it is begun.
        devices: names for ``CUDA_VISIBLE_DEVICES``, one for each worker; by default all devices that are visible. One
            or none does all here.

    Raises:
        VideoError: there is no film in the folder.
        InputError: there are several devices, and what is to be done cannot be given to another process.
    """
    films = films_in(folder)
    if not films:
        raise VideoError(f"expected films ({', '.join(READ)}) in {folder}, but there are none")
    transferer = transferer or Transferer()
    tasks = _tasks(films, Path(output), options)
    do = partial(
        _process,
        expression=expression,
        neutral=neutral,
        direction=direction,
        driver=driver,
        alpha=alpha,
        transferer=transferer,
        options=dataclasses.replace(options, progress=None),
    )
    devices = devices_of(transferer) if devices is None else devices
    if len(devices) > 1 and len(tasks) > 1:
        results = share(tasks, devices, do, starting=starting, progress=options.progress)
    else:
        results = {task.source: _here(task, do, starting, options.progress) for task in tasks}
    outcome = Outcome()
    for task in tasks:
        result = results[task.source]
        if isinstance(result, Report):
            outcome.reports.append(result)
        else:
            log.info("%s failed: %s", task.source, result)
            outcome.failures[task.source] = result
    return outcome


def _tasks(films: Sequence[Path], output: Path, options: Options) -> list[FilmTask]:
    tasks = []
    for film in films:
        suffix = "" if film.suffix.lower() in WRITTEN else ".mkv"
        result = output / f"{film.name}{suffix}"
        if options.resume and result.exists() and not options.overwrite:
            log.info("%s is there already", result)
        else:
            tasks.append(FilmTask(film, result, result.with_suffix(".jsonl") if options.log else None))
    return tasks


def _process(
    task: FilmTask,
    progress: Callable[[Progress], None] | None,
    *,
    expression: Faces | None,
    neutral: Faces | None,
    direction: Latents | None,
    driver: Sources | None,
    alpha: Alpha | None,
    transferer: Transferer,
    options: Options,
) -> Report:
    return process(
        task.source,
        task.output,
        expression=expression,
        neutral=neutral,
        direction=direction,
        driver=driver,
        alpha=alpha,
        transferer=transferer,
        options=dataclasses.replace(options, log=task.log, progress=progress),
    )


def _here(
    task: FilmTask, do: Do, starting: Callable[[Path], None] | None, progress: Callable[[Progress], None] | None
) -> Report | Exception:
    if starting:
        starting(task.source)
    try:
        return do(task, progress)
    except (FlowxferError, OSError) as error:
        return error
