"""The worker with the model: changes faces, photographs and parts of films."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flowxfer import images
from flowxfer.cluster.follower import digest
from flowxfer.cluster.recipe import Recipe
from flowxfer.cluster.tasks import Coded, Done, Ending, Faces, Failure, Part, Photo, Result, Task, sentence
from flowxfer.errors import FlowxferError, VideoError
from flowxfer.faces import Aligned, transfer_photo
from flowxfer.images import Pixels
from flowxfer.video.changes import Edit, Smoothing
from flowxfer.video.io.frames import Frame
from flowxfer.video.io.work_folder import Work
from flowxfer.video.pipeline import Step, changed, pasted
from flowxfer.video.prefetch import prefetch

__all__ = ["EditWorker"]

_WAITING = 2  # frames that may wait for the encoder


class EditWorker:
    """Loads the model once and changes what it is given, one task after the other.

    What it is given twice, because a worker was lost, it writes twice, with the same bytes.

    Args:
        recipe: of the batch.

    Raises:
        FlowxferError: the model cannot be loaded.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe, self._flow = recipe, recipe.transferer()
        self._performer = self._flow.encode(recipe.expression), self._flow.mean(recipe.neutral)
        self._direction = self._flow.direction(*self._performer)
        self._detector = recipe.make_detector()

    def __call__(self, task: Task | Result) -> Iterator[Result]:
        """Yield what became of a task; a result passes through."""
        if isinstance(task, (Done, Coded, Ending, Failure)):
            yield task
        elif isinstance(task, Faces):
            yield from self._faces(task)
        elif isinstance(task, (Photo, Part)):
            source = task.source if isinstance(task, Photo) else task.film.source
            try:
                yield self._photo(task) if isinstance(task, Photo) else self._part(task)
            except Exception as error:  # whatever is wrong with one input, the others are done
                yield Failure(source, sentence(error))
        else:
            raise TypeError(f"expected a film to be followed first, got {task}")

    def _faces(self, task: Faces) -> Iterator[Result]:
        loaded, pairs = list[Pixels](), list[tuple[Path, Path]]()
        for source, output in zip(task.sources, task.outputs, strict=True):
            try:
                loaded.append(images.load(source, self._flow.size))
                pairs.append((source, output))
            except FlowxferError as error:
                yield Failure(source, sentence(error))
        results = self._flow.frames(loaded, *self._performer, self._recipe.alpha)
        for (source, output), result in zip(pairs, results, strict=True):
            try:
                images.save(result, output, self._recipe.mark)
                yield Done(source, output)
            except (FlowxferError, OSError) as error:
                yield Failure(source, sentence(error))

    def _photo(self, task: Photo) -> Done:
        recipe = self._recipe
        result = transfer_photo(
            self._flow,
            task.source,
            direction=self._direction,
            alpha=recipe.alpha,
            face=recipe.face,
            detector=self._detector,
            rotations=recipe.rotations,
            paste=recipe.paste,
        )
        images.save(result, task.output, recipe.mark, original=task.source)
        return Done(task.source, task.output)

    def _part(self, part: Part) -> Coded:
        """Make a segment from the key frame before it, or from the beginning where the film's index leads astray."""
        try:
            return self._coded(part, _near(part))
        except VideoError:
            return self._coded(part, _from_beginning(part))

    def _coded(self, part: Part, frames: Iterator[Frame]) -> Coded:
        from flowxfer.video.io.encoders import choose_encoder
        from flowxfer.video.io.film_sink import FilmSegmentWriter
        from flowxfer.video.io.film_source import FilmSource
        from flowxfer.video.io.join import payload

        film, recipe, source = part.film, self._recipe, FilmSource(part.film.source)
        encoder = choose_encoder(film.output, source.look, recipe.codec, recipe.quality)
        with TemporaryDirectory(prefix=f"part{part.number}_", dir=film.folder) as scratch, closing(frames):  # type: ignore[type-var]
            work = Work(Path(scratch) / film.output.name, {}, resume=False, overwrite=False)
            try:
                writer = FilmSegmentWriter(work, source, encoder, None)
                writer.begin(part.number)
                try:
                    with closing(prefetch(self._changed(part, frames), _WAITING)) as steps:
                        for step in steps:
                            assert step.pixels is not None
                            writer.add(step.frame, step.pixels, step.box)
                    entry = writer.end()
                finally:
                    writer.abandon()
                packets = payload(work, part.number)
                os.replace(packets, film.folder / packets.name)
            finally:
                work.release()
        return Coded(film.output, part.number, _entry(part, entry))

    def _changed(self, part: Part, frames: Iterator[Frame]) -> Iterator[Step]:
        recipe, flow = self._recipe, self._flow
        change = Edit(flow, self._direction, recipe.alpha, Smoothing(0))
        yield from pasted(changed(_checked(part, frames, flow.size), change, flow.batch_size), recipe.paste)


def _near(part: Part) -> Iterator[Frame]:
    from flowxfer.video.io.film_source import FilmSource

    if part.first == 0:
        yield from _from_beginning(part)
        return
    yield from FilmSource(part.film.source, start=part.seen[0].time).frames()


def _from_beginning(part: Part) -> Iterator[Frame]:
    from flowxfer.video.io.film_source import FilmSource

    yield from FilmSource(part.film.source).frames(part.first)


def _checked(part: Part, frames: Iterator[Frame], size: int) -> Iterator[Step]:
    """Cut the faces out where the follower saw them, in the very frames that it saw."""
    for seen in part.seen:
        frame = next(frames, None)
        if frame is None or (frame.time, digest(frame)) != (seen.time, seen.digest):
            raise VideoError(
                f"expected the frame at {float(seen.time):.3f} s of {part.film.source} as it was when the film was "
                "followed, got another; was the film replaced, or do the machines' versions of PyAV differ?"
            )
        yield Step(frame, None if seen.face is None else Aligned.cut(frame, seen.face, size))


def _entry(part: Part, entry: dict[str, Any]) -> dict[str, Any]:
    found = sum(seen.face is not None for seen in part.seen)
    return {"frames": len(part.seen), "found": found, "state": part.state, **entry}
