"""Many pictures and films, on one machine or on many: batch."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import typer

from flowxfer.cli.finding import WAYS, Finder, Way, choice, find_by
from flowxfer.cli.groups import grouped
from flowxfer.cli.marking import MARKED, Marking, marks
from flowxfer.cli.options import (
    PORTRAIT,
    Alpha,
    Codec,
    Compute,
    Expression,
    Force,
    Neutral,
    Quality,
)
from flowxfer.cli.photo import Rotations
from flowxfer.cli.running import alphas, downloading, inputs, names
from flowxfer.engines.protocol import EngineName
from flowxfer.errors import InputError
from flowxfer.files import same_file

if TYPE_CHECKING:
    from flowxfer.bundle import Manifest
    from flowxfer.cluster import Summary
    from flowxfer.faces import Detector

__all__ = ["batch"]

_FAILED, _INTERRUPTED = 1, 130  # exit statuses; the second is the shell's for Ctrl-C
_OTHER_FILMS = ".mkv"  # is added to the names of films in containers that cannot be written, such as .avi

Pairs = Sequence[tuple[Path, Path]]


@dataclass(frozen=True)
class _Compute(Compute):
    """Here --engine says where the work is done."""

    engine: Annotated[
        EngineName,
        typer.Option("--model-engine", help="What computes the model; torch needs the extra export, openvino its own."),
    ] = "onnxruntime"


_PORTRAIT = _Compute(model=PORTRAIT.model)


@dataclass(frozen=True)
class _Work:
    """Where the work is done."""

    PANEL: ClassVar = "Machines"

    place: Annotated[
        Literal["local", "ray"], typer.Option("--engine", help="This process, or the workers of a Ray cluster.")
    ] = "local"
    address: Annotated[
        str | None,
        typer.Option(help="The Ray cluster: HOST:PORT, or auto on its machines.", show_default="this machine alone"),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Of the cluster, with a model each.", show_default="one a GPU, else one a core"),
    ] = None
    segment: Annotated[int, typer.Option(min=1, help="Frames of a film that a worker does at a time.")] = 250


_WORK = _Work()


@grouped
def batch(
    sources: Annotated[list[str], typer.Argument(help="Pictures and films, folders of them, or patterns.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")],
    expression: Expression,
    neutral: Neutral,
    alpha: Alpha = "0.4",
    work: _Work = _WORK,
    photo: Annotated[bool, typer.Option("--photo", help="The pictures are whole photographs.")] = False,
    face: Annotated[
        str, typer.Option(help="In photographs and films: largest, leftmost, or a number from 0, from the left.")
    ] = "largest",
    detector: Finder = "dlib",
    rotations: Rotations = False,
    paste: Way = "blend",
    codec: Codec = None,
    quality: Quality = None,
    compute: _Compute = _PORTRAIT,
    marked: Marking = MARKED,
    force: Force = False,
) -> None:
    """Give everybody in many pictures and films the expression of another person.

    Pictures become NAME.png, films keep their name. Results that are there already are left as they are, and an
    interrupted film continues, unless --force is given. What fails is listed at the end, the rest is done, and the exit
    status is 1. With --engine ray the parts of a film are done side by side, and the results are the same.
    """
    from flowxfer import cluster, faces, images

    if work.place == "local" and (work.address or work.workers):
        raise InputError("expected --address and --workers with --engine ray only; a local run is this process")
    pictures, films = _sorted_out(sources)
    photographs = _missing(pictures, output, lambda path, name: f"{name}.png", force)
    reels = _missing(films, output, _film_name, force)
    if photo or films:
        find_by(detector)  # what it lacks, it says before there is work
    values, marking = alphas(alpha), marks(marked.elsewhere())
    strength, manifest = values[0] if len(values) == 1 else values, _manifest(compute.model)
    recipe = cluster.Recipe(
        model=str(Path(compute.model).absolute()) if Path(compute.model).is_dir() else compute.model,
        model_hash=manifest.model_hash,
        expression=images.load(expression, manifest.image_size),
        neutral=images.load_faces(neutral, manifest.image_size, resize=True),
        alpha=strength,
        face=choice(face),
        detector=_maker(detector),
        rotations=rotations,
        paste=getattr(faces, WAYS[paste]),
        codec=codec,
        quality=quality,
        mark=marking.edited(manifest, strength),
        providers=tuple(compute.provider) if compute.provider else None,
        engine=compute.engine,
        precision=compute.precision,
        plain=compute.plain,
        threads=compute.threads,
    )
    tasks = [
        *([cluster.Photo(*pair) for pair in photographs] if photo else cluster.in_groups(photographs)),
        *(cluster.FilmTask(*pair) for pair in reels),
    ]
    do = cluster.here if work.place == "local" else cluster.OnRay(work.address, work.workers)
    try:
        with downloading() as progress:
            summary = cluster.run(tasks, recipe, do, segment_frames=work.segment, force=force, progress=progress)
    except KeyboardInterrupt:
        typer.echo("flowxfer: interrupted; the same command goes on with what is missing", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    _say(summary, len(pictures) + len(films))


def _say(summary: Summary, inputs: int) -> None:
    for path in summary.written:
        typer.echo(path)
    failures, written = summary.failures, len(summary.written)
    width = max((len(str(source)) for source in failures), default=0)
    for source, why in sorted(failures.items()):
        typer.echo(f"{source!s:<{width}}  {why}", err=True)
    there = inputs - written - len(failures)
    typer.echo(f"flowxfer: {written} written, {there} were there already, {len(failures)} failed", err=True)
    if failures:
        raise typer.Exit(_FAILED)


def _sorted_out(inputs: Iterable[str]) -> tuple[list[Path], list[Path]]:
    """List the pictures and the films; a file that is named and no picture by its suffix is taken for a film."""
    from flowxfer.images import SUFFIXES, pictures_among
    from flowxfer.video import films_in

    pictures, films = list[Path](), list[Path]()
    for path in (Path(text).absolute() for text in inputs):
        if path.is_dir():
            found = sorted(path.iterdir())
        elif glob.has_magic(str(path)) and not path.exists():
            found = sorted(map(Path, glob.glob(str(path), recursive=True)))
        else:
            (pictures if path.suffix.lower() in SUFFIXES else films).append(path)
            continue
        known = {film for folder in {each.parent for each in found} for film in films_in(folder)}
        seen = pictures_among(found)
        if not seen and known.isdisjoint(found):
            raise InputError(f"expected pictures or films in {path}, but there are none")
        pictures += seen
        films += [each for each in found if each in known]
    return pictures, films


def _missing(sources: list[Path], folder: Path, naming: Callable[[Path, str], str], force: bool) -> Pairs:
    """Pair the inputs whose results are to be made with the places for these.

    Raises:
        InputError: two results would have one name, or a result would replace its input.
    """
    results = [folder.absolute() / naming(path, name) for path, name in zip(sources, names(sources), strict=True)]
    for result in results:
        if source := same_file(result, inputs()):
            raise InputError(f"expected a folder of its own for the results, got that of the input {source}")
    return [pair for pair in zip(sources, results, strict=True) if force or not pair[1].exists()]


def _film_name(path: Path, name: str) -> str:
    from flowxfer.video.io.suffixes import WRITTEN

    return f"{name}{path.suffix}" if path.suffix.lower() in WRITTEN else f"{path.name}{_OTHER_FILMS}"


def _maker(detector: str) -> Callable[[], Detector] | None:
    """Return what makes the detector; None is the default, which searches films in its own way."""
    from flowxfer.faces import DlibDetector, MtcnnDetector

    return {"dlib": None, "dlib68": partial(DlibDetector, landmarks=68), "mtcnn": MtcnnDetector}[detector]


def _manifest(model: str) -> Manifest:
    """Find the model, without loading it: the workers do that."""
    from flowxfer.bundle import Bundle
    from flowxfer.models import hub

    with downloading() as progress:
        return Bundle.open(hub.resolve(model, progress=progress)).manifest
