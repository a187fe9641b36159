"""All inputs through an engine, and what became of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from flowxfer.cluster.executors import Engine
from flowxfer.cluster.recipe import Recipe
from flowxfer.cluster.tasks import Coded, Done, Faces, Failure, Film, FilmTask, Input, Photo, Result, sentence
from flowxfer.cluster.video_job import VideoJob
from flowxfer.errors import FlowxferError, InputError

__all__ = ["SEGMENT_FRAMES", "Progress", "Summary", "run"]

Progress: TypeAlias = "Callable[[str, int, int | None], None]"
"""Is told what is counted, how many are done, and of how many; the number of frames is an estimate."""

SEGMENT_FRAMES = 250
_FILMS = 200  # that are under way together: each holds a lock, and a process may open a thousand files or so
_LOST = "its worker was lost, again and again; is there enough memory? Ray's logs say how it ended"

log = logging.getLogger(__name__)


@dataclass
class Summary:
    """What became of a batch.

    Attributes:
        written: the results, in the order in which they were done.
        failures: what was wrong with the other inputs, as sentences.
    """

    written: list[Path] = field(default_factory=list)
    failures: dict[Path, str] = field(default_factory=dict)


def run(
    tasks: Sequence[Faces | Photo | FilmTask],
    recipe: Recipe,
    engine: Engine,
    *,
    segment_frames: int = SEGMENT_FRAMES,
    force: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Do all tasks, whatever becomes of one of them.

    A result that is there already is replaced: leave out what is not to be done again. A film that an earlier run left
    unfinished continues.

    Args:
        tasks: pictures and films, each with another output.
        recipe: what is done to them.
        engine: where it is done: :func:`~flowxfer.cluster.here` or :class:`~flowxfer.cluster.OnRay`.
        segment_frames: frames of a film that are one worker's work, and begin with a key frame.
        force: begin unfinished films anew.
        progress: is told after each input, and after each segment of a film.

    Raises:
        InputError: ``segment_frames`` is less than 1.
        ClusterError: the cluster cannot be reached or used.
        FlowxferError: the model cannot be loaded.
    """
    if segment_frames < 1:
        raise InputError(f"expected segments of at least 1 frame, got {segment_frames}")
    films = [task for task in tasks if isinstance(task, FilmTask)]
    pictures = [task for task in tasks if not isinstance(task, FilmTask)]
    inputs = len(films) + sum(len(_sources(task)) for task in pictures)
    summary = Summary()
    for begin in range(0, max(1, len(films)), _FILMS):
        with _VideoJobs(summary, progress or (lambda what, done, total: None), inputs) as video_jobs:
            for film in films[begin : begin + _FILMS]:
                video_jobs.open(film, recipe, segment_frames=segment_frames, force=force)
            jobs: list[Input] = [*pictures, *video_jobs.films()]
            if jobs:
                video_jobs.take(jobs, engine(jobs, recipe))
        pictures = []
    return summary


class _VideoJobs:
    """The films that are under way, and what becomes of all inputs."""

    def __init__(self, summary: Summary, progress: Progress, inputs: int) -> None:
        self._summary, self._progress, self._inputs = summary, progress, inputs
        self._video_jobs: dict[Path, VideoJob] = {}
        self._frames, self._all_frames = 0, 0

    def __enter__(self) -> _VideoJobs:
        return self

    def __exit__(self, *error: object) -> None:
        for video_job in self._video_jobs.values():
            video_job.leave()

    def open(self, task: FilmTask, recipe: Recipe, *, segment_frames: int, force: bool) -> None:
        """Begin a film, or go on with it."""
        try:
            video_job = VideoJob(task.source, task.output, recipe, segment_frames=segment_frames, force=force)
        except (FlowxferError, OSError) as error:
            self._fail(task.source, sentence(error))
        else:
            self._video_jobs[task.output] = video_job
            self._frames += video_job.film.first
            self._all_frames += video_job.film.frames or 0

    def films(self) -> Iterator[Input]:
        """Yield those that are open."""
        return (video_job.film for video_job in self._video_jobs.values())

    def take(self, jobs: Sequence[Input], results: Iterator[Result]) -> None:
        """Take results as they come; who has none in the end was with a worker that was lost."""
        missing = {source for job in jobs for source in _sources(job)}
        for result in results:
            missing -= {self._took(result)}
        for source in sorted(missing):
            self._fail(source, _LOST)

    def _took(self, result: Result) -> Path | None:
        """Take one result; return the input that has come to its end with it."""
        if isinstance(result, Done):
            self._succeed(result.output)
            return result.source
        if isinstance(result, Failure):
            self._fail(result.source, result.why)
            return result.source
        video_job = self._video_jobs[result.output]
        if isinstance(result, Coded):
            video_job.take(result)
            self._frames += result.entry["frames"]
            self._progress("frames", self._frames, self._all_frames)
        else:
            video_job.end(result.segments)
        return self._joined(video_job) if video_job.whole else None

    def _joined(self, video_job: VideoJob) -> Path:
        try:
            video_job.join()
        except (FlowxferError, OSError) as error:
            self._fail(video_job.film.source, sentence(error))
        else:
            del self._video_jobs[video_job.film.output]
            self._succeed(video_job.film.output)
        return video_job.film.source

    def _succeed(self, output: Path) -> None:
        self._summary.written.append(output)
        self._tell()

    def _fail(self, source: Path, why: str) -> None:
        log.info("%s failed: %s", source, why)
        self._summary.failures.setdefault(source, why)  # of several parts of a film, the first that failed
        self._tell()

    def _tell(self) -> None:
        self._progress("inputs", len(self._summary.written) + len(self._summary.failures), self._inputs)


def _sources(job: Faces | Photo | Film | FilmTask) -> tuple[Path, ...]:
    return job.sources if isinstance(job, Faces) else (job.source,)
