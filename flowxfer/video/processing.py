"""Films with other expressions: one for the whole film, or what somebody performs in another film."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flowxfer.errors import InputError
from flowxfer.faces import Paste, align, choose, paste_blend, paste_face
from flowxfer.images import SUFFIXES, Pixels, load
from flowxfer.latents import Latents
from flowxfer.transferer import Faces, Transferer
from flowxfer.types import Alpha
from flowxfer.video.changes import Drive, Edit, Smoothing
from flowxfer.video.io.opening import Sources, open_source
from flowxfer.video.io.source import Source
from flowxfer.video.io.stream_format import Look
from flowxfer.video.job import Job, named
from flowxfer.video.neutral import Neutral, learned
from flowxfer.video.options import Options, Report
from flowxfer.video.performance import Performance, on_film, on_photo
from flowxfer.video.pipeline import Step, followed

__all__ = ["DRIVE_ALPHA", "EDIT_ALPHA", "drive", "edit", "process"]

EDIT_ALPHA, DRIVE_ALPHA = 0.4, 1.0
"""How strong an expression is by default: the paper's strength for one, the whole performance for a film of them."""

_DEFAULTS = Options()


def process(
    source: Any,
    output: str | os.PathLike[str],
    *,
    expression: Faces | None = None,
    neutral: Faces | None = None,
    direction: Latents | None = None,
    driver: Sources | None = None,
    alpha: Alpha | None = None,
    transferer: Transferer | None = None,
    options: Options = _DEFAULTS,
) -> Report:
    """Give somebody in a film one expression, or the expressions that somebody else performs in another film.

    With ``expression`` or ``direction`` this is :func:`edit`, with ``driver`` :func:`drive`; ``alpha`` is theirs by
    default.

    Raises:
        InputError: not exactly one of the three is given, or an expression comes without a neutral.
    """
    if sum(given is not None for given in (expression, direction, driver)) != 1:
        raise InputError("expected an expression, a direction or a driver, one of them: what is transferred?")
    if driver is not None:
        strength = DRIVE_ALPHA if alpha is None else alpha
        return drive(driver, source, output, neutral, alpha=strength, transferer=transferer, options=options)
    strength = EDIT_ALPHA if alpha is None else alpha
    return edit(
        source,
        output,
        expression,
        neutral,
        direction=direction,
        alpha=strength,
        transferer=transferer,
        options=options,
    )


def edit(
    source: Sources,
    output: str | os.PathLike[str],
    expression: Faces | None = None,
    neutral: Faces | None = None,
    *,
    direction: Latents | None = None,
    alpha: Alpha = EDIT_ALPHA,
    transferer: Transferer | None = None,
    options: Options = _DEFAULTS,
) -> Report:
    """Give somebody in a film an expression, or move their face along another direction.

    Args:
        source: a film, a folder of pictures, a pattern, or an iterable of uint8 arrays.
        output: a film, or a folder for pictures; its name never holds a part of one.
        expression: the aligned face that performs, as :meth:`Transferer.transfer` takes it.
        neutral: the performer without expression.
        direction: in place of both, latents of one, as :meth:`Transferer.manipulate` takes them.
        alpha: strength: 0 leaves every frame as it was, 1 transfers in full.
        transferer: the model; by default the bundled one.
        options: everything else.

    Raises:
        InputError: an argument is out of its range.
        VideoError: the film cannot be read or written.
    """
    job = Job(transferer or Transferer(), alpha, _pasting(options, paste_blend))
    if direction is None:
        direction, digests = _expression_vector(job.transferer, expression, neutral)
    elif expression is not None or neutral is not None:
        raise InputError("expected a direction, or an expression and a neutral, got both; leave one out")
    else:  # as earlier versions called it, whose unfinished films go on
        digests = {"expression": direction.digest, "neutral": (0 * direction).digest}
    change = Edit(job.transferer, direction, alpha, Smoothing(options.smooth))
    settings = {"use": "edit", **digests}
    with _opened(source, options, in_range=True) as film:

        def steps(first: int, state: dict[str, Any]) -> Iterator[Step]:
            return followed(film.frames(first), job.tracker(options.face, state.get("tracker")))

        return job.write(film, Path(output), steps, change, settings)


def drive(
    driver: Sources,
    target: Any,
    output: str | os.PathLike[str],
    neutral: Faces | None = None,
    *,
    alpha: Alpha = DRIVE_ALPHA,
    transferer: Transferer | None = None,
    neutral_frames: int = 250,
    options: Options = _DEFAULTS,
) -> Report:
    """Give a face what somebody performs in a film: ``z_target + alpha · (z_driver − mean(z_neutral))``.

    A photograph becomes a film with the driver's times and sound. A film keeps its own, and gets the driver's
    expression at the same time since both began; frames after the driver's end stay as they were. What the driver's
    head and background do shows beside the face, so by default only the face's oval changes.

    Args:
        driver: the performer: a film, a folder of pictures, a pattern, or an iterable.
        target: who receives: a photograph (a path, a PIL image or an array (H, W, 3)), or a film as :func:`edit`
            takes it.
        output: a film, or a folder for pictures.
        neutral: the performer without expression; by default the mean of the driver's first faces and what a turn of
            the head adds to it, see :class:`~flowxfer.video.neutral.Neutral`.
        alpha: strength: 0 leaves the target as it was.
        transferer: the model; by default the bundled one.
        neutral_frames: how many frames with a face are those first ones.
        options: everything else; ``face`` is the target's, ``performer`` the driver's, ``start`` and ``end`` are the
            film's that gives the times.

    Raises:
        InputError: an argument is out of its range, or there is no face in the photograph or the driver.
        VideoError: a film cannot be read or written.
    """
    read = [Path(each) for each in (driver, target) if isinstance(each, (str, os.PathLike))]
    options = replace(_pasting(options, paste_face), keep=(*options.keep, *read))
    job = Job(transferer or Transferer(), alpha, options)
    photo = _photo(target)
    with _opened(driver, options, in_range=photo is not None) as film:
        calm = _neutral(job, driver, film, neutral, neutral_frames)
        change = Drive(job.transferer, calm, alpha, Smoothing(options.smooth))
        digests = [part.digest for part in (calm.latents, calm.slope) if part is not None]
        settings = {"use": "drive", "neutral": digests, "performer": named(options.performer)}
        if photo is not None:
            return _onto_photo(job, film, photo, Path(output), change, settings)
        with _opened(target, options, in_range=True) as receiver:
            return _onto_film(job, film, receiver, Path(output), change, settings)


def _pasting(options: Options, paste: Paste) -> Options:
    return options if options.paste else replace(options, paste=paste)


def _onto_photo(
    job: Job,
    film: Source,
    photo: Pixels,
    output: Path,
    change: Drive,
    settings: dict[str, Any],
) -> Report:
    (face,) = choose(align(photo, job.options.detector, job.transferer.size), job.options.face)

    def steps(first: int, state: dict[str, Any]) -> Iterator[Step]:
        return on_photo(film.frames(first), job.tracker(job.options.performer, state.get("tracker")), photo, face)

    settings = settings | {"photo": hashlib.sha256(photo.tobytes()).hexdigest()}
    return job.write(_canvas(film, photo), output, steps, change, settings)


def _onto_film(
    job: Job,
    film: Source,
    receiver: Source,
    output: Path,
    change: Drive,
    settings: dict[str, Any],
) -> Report:
    def steps(first: int, state: dict[str, Any]) -> Iterator[Step]:
        performance = Performance(film, job.tracker(job.options.performer), state.get("performance"))
        tracker = job.tracker(job.options.face, state.get("tracker"))
        return on_film(receiver.frames(first), tracker, performance, receiver.start or Fraction(0))

    return job.write(receiver, output, steps, change, settings | {"driver": film.fingerprint})


def _opened(source: Sources, options: Options, *, in_range: bool) -> Source:
    if in_range:
        whole = options.deinterlace
        return open_source(source, start=options.start, end=options.end, rate=options.rate, deinterlace=whole)
    return open_source(source)


def _canvas(film: Source, photo: Pixels) -> Source:
    """Make a source with the times and the sound of a film, and a photograph's size."""
    canvas = copy.copy(film)
    canvas.size = (photo.shape[0], photo.shape[1])
    canvas.look = Look(*canvas.size, rate=film.look.rate, time_base=film.look.time_base)
    return canvas


def _photo(target: Any) -> Pixels | None:
    """Load the target if it is one picture and not a film."""
    if isinstance(target, Image.Image) or (isinstance(target, np.ndarray) and target.ndim == 3):
        return load(target)
    if isinstance(target, (str, os.PathLike)):
        path = Path(target)
        if path.is_file() and path.suffix.lower() in SUFFIXES:
            return load(path)
    return None


def _neutral(job: Job, driver: Sources, film: Source, neutral: Faces | None, frames: int) -> Neutral:
    if neutral is not None:
        return Neutral(job.transferer.mean(neutral))
    if frames < 1:
        raise InputError(f"expected at least one first frame to take the driver's neutral face from, got {frames}")
    if isinstance(driver, Iterator):
        raise InputError("expected a driver that can be read twice, or the performer's neutral, got an iterator")
    return learned(film, job.tracker(job.options.performer), job.transferer, frames, job.options.progress)


def _expression_vector(
    flow: Transferer, expression: Faces | None, neutral: Faces | None
) -> tuple[Latents, dict[str, str]]:
    """The direction of an expression, and what tells it from others in the settings of a run."""
    if expression is None or neutral is None:
        raise InputError("expected the performer without expression, got none; neutral takes one picture or several")
    performed = expression if isinstance(expression, Latents) else flow.encode(expression)
    if len(performed) != 1:
        raise InputError(f"expected one expression for all frames, got {len(performed)}")
    mean = flow.mean(neutral)
    return flow.direction(performed, mean), {"expression": performed.digest, "neutral": mean.digest}
