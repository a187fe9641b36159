"""The stages between a source and a sink: follow the face, change it, paste it back.

Each stage is a generator that takes what the one before it yields. :func:`run` gives each a thread of its own, with a
few frames between them: the model works on one batch while the next is decoded and tracked and the last is pasted and
encoded, and the memory that this takes does not grow with the film.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np

from flowxfer.faces import Aligned, Paste, Tracker, patch
from flowxfer.faces.resampling import corners
from flowxfer.images import Pixels
from flowxfer.video.io.frames import Box, Frame, New
from flowxfer.video.io.sink import Sink
from flowxfer.video.prefetch import prefetch

__all__ = ["Change", "Progress", "Stage", "Step", "changed", "followed", "pasted", "run"]

State: TypeAlias = "dict[str, Any]"
Stage: TypeAlias = "Callable[[Iterator[Step]], Iterator[Step]]"

_WAITING = 2  # frames between two stages; before the model a batch waits


@dataclass(frozen=True, eq=False)
class Step:
    """One frame on its way, and what the stages have found out about it.

    Attributes:
        frame: whose pixels are changed.
        target: the face to change; None leaves the frame as it is.
        performer: the face that performs, where a film drives.
        turn: how far the performer's head is turned, as :meth:`~flowxfer.faces.Tracker.turn` tells.
        began: whether that which changes from frame to frame begins anew here.
        decoded: the target's new pixels, shape (size, size, 3), uint8.
        pixels: the new frame, in RGB; or the patch that goes into a film's own.
        box: what may have changed in it; None if nothing did.
        state: what the stages so far need to go on after this frame, by their names.
    """

    frame: Frame
    target: Aligned | None = None
    performer: Aligned | None = None
    turn: float = 0.0
    began: bool = False
    decoded: Pixels | None = None
    pixels: New | None = None
    box: Box | None = None
    state: State | None = None


class Change(Protocol):
    """What a model does to faces."""

    def __call__(self, steps: Sequence[Step]) -> list[Step]:
        """Return the steps with ``decoded`` and the state added; each of them has a face."""
        ...


@dataclass(frozen=True)
class Progress:
    """How far a film is.

    Attributes:
        done: frames that are written; in a study, that are looked at.
        total: frames of the film, or of the study, an estimate; None if nobody knows.
        fps: frames a second of this run.
        left_seconds: what the rest will take; None if nobody knows.
        study: whether what the performer looks like without expression is still being learnt, before the film begins.
    """

    done: int
    total: int | None
    fps: float
    left_seconds: float | None
    study: bool = False

    @classmethod
    def since(cls, began: float, done: int, total: int | None, *, first: int = 0, study: bool = False) -> Progress:
        """Tell how far a run is, which began at a time of :func:`time.perf_counter` with the first frames done."""
        fps = (done - first) / max(time.perf_counter() - began, 1e-9)
        return cls(done, total, fps, None if total is None or not fps else max(0, total - done) / fps, study)


def followed(frames: Iterator[Frame], tracker: Tracker) -> Iterator[Step]:
    """Find the face in each frame."""
    missing = False
    for frame in frames:
        face = tracker.follow(frame, float(frame.time))
        yield Step(frame, face, began=tracker.began or missing, state={"tracker": tracker.state})
        missing = face is None


def changed(steps: Iterator[Step], change: Change, batch_size: int) -> Iterator[Step]:
    """Change the faces, a batch at a time; frames without one go through."""
    while batch := list(itertools.islice(steps, batch_size)):
        faces = iter(change([step for step in batch if step.target is not None]))
        for step in batch:
            yield step if step.target is None else next(faces)


def pasted(steps: Iterator[Step], paste: Paste) -> Iterator[Step]:
    """Put the new faces back; a face that has not changed leaves its frame as it is."""
    for step in steps:
        frame, target, decoded = step.frame, step.target, step.decoded
        if target is None or decoded is None or np.array_equal(decoded, target.crop):
            yield replace(step, pixels=frame.pixels)
        else:
            new = None if frame.native is None else patch(paste, target, decoded)
            pixels = paste(frame.pixels, target, decoded) if new is None else new
            yield replace(step, pixels=pixels, box=_box(target, frame.shape))


def run(
    steps: Iterator[Step],
    stages: Sequence[tuple[Stage, int]],
    sink: Sink,
    *,
    record: Callable[[Step], dict[str, Any]],
    total: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    show: Callable[[Step], None] | None = None,
) -> None:
    """Write what comes out of the last stage.

    An exception in a stage, in the sink or in a callback ends all stages and comes out here, Ctrl-C among them.

    Args:
        steps: the first stage.
        stages: the others, each with the steps that may wait before it.
        sink: gets the frames in their order.
        record: what the log says about a step.
        total: frames of the film.
        progress: is told after each frame, and now and then while none comes.
        show: is shown each step.
    """
    began, first = time.perf_counter(), sink.done
    done = first

    def tell() -> None:
        if progress:
            progress(Progress.since(began, done, total, first=first))

    with ExitStack() as threads:  # the last one ends first, so that nobody waits for one that is gone
        for stage, waiting in stages:
            steps = stage(threads.enter_context(_ending(prefetch(steps, waiting))))
        for done, step in enumerate(threads.enter_context(_ending(prefetch(steps, _WAITING, tell))), first + 1):  # noqa: B007
            assert step.pixels is not None
            if show:
                show(step)  # first: the sink uses up the frame's native picture
            sink.write(step.frame, step.pixels, step.box, record=record(step), state=step.state or {})
            tell()


@contextmanager
def _ending(stage: Generator[Step]) -> Iterator[Iterator[Step]]:
    """Close a stage at the end, unless the next one still waits for it and was left alone with it."""
    try:
        yield stage
    finally:
        with suppress(ValueError):  # "generator already executing"
            stage.close()


def _box(face: Aligned, shape: tuple[int, ...]) -> Box:
    """Span the crop in the picture's pixels."""
    side = len(face.crop)
    outline = face.transform.inverse(corners(side, side))
    (left, top), (right, bottom) = outline.min(0), outline.max(0)
    height, width = shape[:2]
    return (
        max(0, math.floor(left)),
        max(0, math.floor(top)),
        min(width, math.ceil(right)),
        min(height, math.ceil(bottom)),
    )
