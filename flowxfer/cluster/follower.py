"""From films to parts that need each other no more: the one thing that must be done in order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, islice
from typing import TYPE_CHECKING, cast

from flowxfer.cluster.recipe import Recipe
from flowxfer.cluster.tasks import Ending, Failure, Film, Part, Result, Seen, Task, sentence
from flowxfer.faces import Tracker
from flowxfer.video import open_source
from flowxfer.video.io.frames import Frame
from flowxfer.video.pipeline import Step, followed

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["Follower", "digest"]

_DIGEST_BYTES = 16


class Follower:
    """Follows faces through films; other tasks it passes on.

    Whom the tracker holds at a frame depends on all frames before. So each film is followed once, from its beginning or
    from where an earlier run had made it safe, without the model, which takes most of the time.

    Args:
        recipe: of the batch.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def __call__(self, task: Task) -> Iterator[Task | Result]:
        """Yield a film's parts as soon as each is followed, and then where it ends."""
        if not isinstance(task, Film):
            yield task
            return
        try:
            yield from self._parts(task)
        except Exception as error:  # whatever is wrong with one film, the others are done
            yield Failure(task.source, sentence(error))

    def _parts(self, film: Film) -> Iterator[Part | Ending]:
        recipe, number, first = self._recipe, film.segment, film.first
        tracker = Tracker(recipe.size, recipe.face, detector=recipe.make_detector())
        if film.state:
            tracker.restore(film.state)
        with open_source(film.source) as source, closing(source.frames(first)) as frames:  # type: ignore[type-var]
            steps = followed(frames, tracker)
            for step in steps:
                seen = list[Seen]()
                for last in chain([step], islice(steps, film.segment_frames - 1)):
                    seen.append(_seen(last))
                    state = last.state or {}
                yield Part(film, number, first, tuple(seen), state)
                number, first = number + 1, first + len(seen)
        yield Ending(film.output, number)


def digest(frame: Frame) -> bytes:
    """Tell a film's frame from all others by what the decoder made of it."""
    from flowxfer.video.io.colours import layouts, planes

    picture, whole = cast("VideoFrame", frame.native), hashlib.blake2b(digest_size=_DIGEST_BYTES)
    has_palette = len(picture.planes) != len(layouts(picture.format.name))
    for plane in [frame.pixels] if has_palette else planes(picture):
        whole.update(plane.tobytes())
    return whole.digest()


def _seen(step: Step) -> Seen:
    return Seen(step.frame.time, digest(step.frame), None if step.target is None else step.target.face)
