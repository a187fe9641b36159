"""Films: video."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from flowxfer.cli.finding import WAYS, Finder, choice, find_by
from flowxfer.cli.groups import grouped
from flowxfer.cli.marking import MARKED, Marking, marks
from flowxfer.cli.options import PORTRAIT, Codec, Compute, Force, Output, Quality
from flowxfer.cli.performing import (
    Performing,
    alpha_option,
    alphas_of_attributes,
    check,
    neutral_option,
    strength,
    transferred,
)
from flowxfer.cli.running import inputs, measure, transferer
from flowxfer.errors import InputError

if TYPE_CHECKING:
    from flowxfer.transferer import Transferer
    from flowxfer.video import Options, Report

__all__ = ["video"]

_INTERRUPTED = 130  # the shell's status for Ctrl-C

Which = Annotated[str, typer.Option(help="Whose face changes: largest, leftmost, or a number from 0, from the left.")]


@dataclass(frozen=True)
class _Performing(Performing):
    """Another film may perform too."""

    neutral: Annotated[list[str] | None, neutral_option("with --driver its first 250 faces, turned as the head is")] = (
        None
    )
    alpha: Annotated[str | None, alpha_option("0.4, with --driver or --attribute 1")] = None
    driver: Annotated[
        Path | None, typer.Option(help="A film of the performer, instead of one expression.", show_default=False)
    ] = None


_PERFORMING = _Performing()

Paste = Annotated[
    Literal["blend", "face", "change", "crop"] | None,
    typer.Option(
        help="Add what changed and drop old detail where that is much, do so in the face's oval only, only add, or lay "
        "the whole new face over.",
        show_default="blend, with --driver face",
    ),
]
Reference = Annotated[Path | None, typer.Option(help="Change the face most like this picture's.", show_default=False)]


@dataclass(frozen=True)
class _Faces:
    """Whose face changes, how it is found, and how it comes back."""

    PANEL: ClassVar = "Faces"

    face: Which = "largest"
    reference: Reference = None
    driver_face: Annotated[str, typer.Option(help="Which of several faces in the driver.")] = "largest"
    smooth: Annotated[float, typer.Option(help="Share of the past in the latents, 0 to below 1.")] = 0.0
    detect_every: Annotated[int, typer.Option(min=1, help="Frames from one search for the face to the next.")] = 10
    detector: Finder = "dlib"
    paste: Paste = None


@dataclass(frozen=True)
class _Film:
    """What is read of the film, and how it is written."""

    PANEL: ClassVar = "Film"

    start: Annotated[float | None, typer.Option(help="Seconds; where to begin.", show_default=False)] = None
    end: Annotated[float | None, typer.Option(help="Seconds; where to stop.", show_default=False)] = None
    rate: Annotated[float | None, typer.Option(help="Frames a second of pictures.", show_default="25")] = None
    deinterlace: Annotated[
        bool, typer.Option("--deinterlace", help="Make whole pictures of interlaced ones; else the fields are kept.")
    ] = False
    codec: Codec = None
    quality: Quality = None
    preview: Annotated[
        int | None,
        typer.Option(min=1, help="Also write NAME.preview.png with every n-th frame of this run.", show_default=False),
    ] = None
    log: Annotated[
        Path | None, typer.Option(help="Write what became of each frame, as JSON lines.", show_default=False)
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False


_FACES, _FILM = _Faces(), _Film()


@grouped
def video(
    film: Annotated[Path, typer.Argument(help="A film, a folder of films or pictures, a pattern; a photo to drive.")],
    output: Output,
    performing: _Performing = _PERFORMING,
    faces: _Faces = _FACES,
    written: _Film = _FILM,
    compute: Compute = PORTRAIT,
    marked: Marking = MARKED,
    force: Force = False,
) -> None:
    """Give somebody in a film the expression of another person, attributes, or all that another film's performer does.

    The performer's pictures are aligned faces; `flowxfer align` makes them. With --driver, a photograph becomes a film
    with the driver's times and sound. Sound and subtitles are copied, frames without a face go through as they were,
    and what Ctrl-C interrupts goes on with --resume. Of a folder of films each is done, whatever becomes of the others.
    """
    from flowxfer.video import films_in

    _check(performing)
    options = _options(faces, written, overwrite=force)
    marking = marks(marked)
    flow = transferer(compute)
    options = dataclasses.replace(options, mark=marking.edited(flow.manifest, *alphas_of_attributes(performing)))
    performance = _performance(flow, performing)
    with _interruptible():
        if film.is_dir() and films_in(film):
            _all(film, output, performance, options)
        else:
            _one(film, output, performance, options)


def _options(found: _Faces, film: _Film, *, overwrite: bool) -> Options:
    from flowxfer import faces
    from flowxfer.video import Options

    find = find_by(found.detector)
    return Options(
        face=choice(found.face) if found.reference is None else faces.Reference(found.reference, find),
        performer=choice(found.driver_face),
        detector=None if found.detector == "dlib" else find,
        detect_every=found.detect_every,
        smooth=found.smooth,
        paste=None if found.paste is None else getattr(faces, WAYS[found.paste]),
        **dataclasses.asdict(film),
        overwrite=overwrite,
        keep=tuple(inputs()),
    )


def _check(performing: _Performing) -> None:
    given = performing.expression is not None, bool(performing.attribute), performing.driver is not None
    if sum(given) != 1:
        raise InputError("expected one of --expression, --attribute and --driver: who performs?")
    if performing.driver is None:
        check(performing)
    elif performing.attributes:
        raise InputError("expected --attributes beside --attribute: a file of which nothing is taken")


def _performance(flow: Transferer, performing: _Performing) -> dict[str, Any]:
    from flowxfer import images

    calm, faces = performing.neutral, dict[str, Any]()
    if performing.driver is None:
        faces = transferred(flow, performing)
    elif calm:
        faces["neutral"] = images.load_faces(calm, flow.size, resize=True)
    return faces | {"driver": performing.driver, "alpha": strength(performing), "transferer": flow}


def _one(film: Path, output: Path, performance: dict[str, Any], options: Options) -> None:
    from flowxfer.video import process

    with measure(film.name) as told:
        options = dataclasses.replace(options, progress=told)
        report = process(film, output, **performance, options=options)
    _say(report)


def _all(folder: Path, output: Path, performance: dict[str, Any], options: Options) -> None:
    from flowxfer.cluster import process_folder

    with measure(folder.name) as told:
        options = dataclasses.replace(options, progress=told)
        outcome = process_folder(folder, output, **performance, options=options)
    for report in outcome.reports:
        _say(report)
    for path, error in outcome.failures.items():
        typer.echo(f"{path}: {error}", err=True)
    if outcome.failures:
        count = len(outcome.failures)
        raise InputError(f"{count} of {count + len(outcome.reports)} films failed, as listed above; the rest is done")


def _say(report: Report) -> None:
    typer.echo(f"{report.output}  {report.frames} frames, a face in {report.found}")


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("flowxfer: interrupted; what was done is kept, and --resume goes on with it", err=True)
        raise typer.Exit(_INTERRUPTED) from None
