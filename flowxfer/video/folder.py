"""A folder of films, one after another; what fails does not stop the rest."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flowxfer.errors import FlowxferError, VideoError
from flowxfer.latents import Alpha
from flowxfer.transferer import Faces, Transferer

from .options import Options, Report
from .processing import process
from .source import Sources

__all__ = ["Outcome", "films_in", "process_folder"]

_FILMS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".ts", ".mts")
_WRITTEN = (".mp4", ".m4v", ".mov", ".mkv", ".webm")

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


def films_in(folder: str | os.PathLike[str]) -> list[Path]:
    """List the films in a folder by name, hidden ones left out; none is an empty list."""
    return sorted(
        path
        for path in Path(folder).iterdir()
        if path.suffix.lower() in _FILMS and path.name[0] != "." and path.is_file()
    )


def process_folder(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    expression: Faces | None = None,
    neutral: Faces | None = None,
    driver: Sources | None = None,
    alpha: Alpha | None = None,
    transferer: Transferer | None = None,
    options: Options = Options(),  # noqa: B008  # it is frozen
    starting: Callable[[Path], None] | None = None,
) -> Outcome:
    """Do to every film in a folder what :func:`~flowxfer.video.process` does to one.

    Args:
        folder: of the films.
        output: the folder for the results, which keep their names; .avi and others that cannot be written become .mkv.
        expression: as :func:`~flowxfer.video.process` takes it.
        neutral: likewise.
        driver: likewise.
        alpha: likewise.
        transferer: likewise.
        options: for each film; with ``resume``, results that are there already are left as they are. A log and a
            preview go beside each result: of the name ``log``, only that there is one counts.
        starting: is told of each film before it is begun.

    Raises:
        VideoError: there is no film in the folder.
    """
    films = films_in(folder)
    if not films:
        raise VideoError(f"expected films ({', '.join(_FILMS)}) in {folder}, but there are none")
    transferer, outcome = transferer or Transferer(), Outcome()
    for film in films:
        result = Path(output) / film.name
        if film.suffix.lower() not in _WRITTEN:
            result = result.with_name(f"{film.name}.mkv")
        if options.resume and result.exists() and not options.overwrite:
            log.info("%s is there already", result)
            continue
        if starting:
            starting(film)
        own = dataclasses.replace(options, log=options.log and result.with_suffix(".jsonl"))
        try:
            report = process(
                film,
                result,
                expression=expression,
                neutral=neutral,
                driver=driver,
                alpha=alpha,
                transferer=transferer,
                options=own,
            )
        except (FlowxferError, OSError) as error:
            log.warning("%s failed: %s", film, error)
            outcome.failures[film] = error
        else:
            outcome.reports.append(report)
    return outcome
