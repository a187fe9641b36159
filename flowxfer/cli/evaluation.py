"""Commands that judge transfers: paper, report, fidelity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flowxfer.cli.groups import grouped
from flowxfer.cli.marking import MARKED, Marking, marks
from flowxfer.cli.options import BUNDLED, Compute, Force
from flowxfer.cli.pairs import NOBODY, Photographed
from flowxfer.cli.running import alphas, downloading, track, transferer, unused
from flowxfer.errors import InputError

if TYPE_CHECKING:
    from flowxfer.evaluation.action_units import Meter
    from flowxfer.evaluation.fidelity import Fidelity
    from flowxfer.evaluation.likeness import Embedder

__all__ = ["fidelity", "paper", "report"]

Data = Annotated[
    Path | None, typer.Argument(help="A folder with id1_aligned, … and expressions.", show_default="the demo people")
]
Likeness = Annotated[
    Literal["none", "dlib", "vggface2", "casia-webface"],
    typer.Option(help="What tells faces apart: the paper's networks, or dlib's on another scale."),
]
Weights = Annotated[
    Path | None, typer.Option(help="The network's state dict.", show_default="facenet-pytorch's download")
]
Units = Annotated[
    Literal["none", "blendshapes", "openface", "pyfaceau"],
    typer.Option(help="What measures action units; the last two you install yourself."),
]
OpenFaceFolder = Annotated[
    Path | None, typer.Option(help="Folder of OpenFace's programs.", show_default="OPENFACE, or PATH")
]
Alphas = Annotated[str, typer.Option("--alphas", "-a", help="Strengths with commas between.")]


@grouped
def paper(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to, or to go on with.")],
    data: Data = None,
    likeness: Likeness = "none",
    weights: Weights = None,
    action_units: Units = "none",
    openface: OpenFaceFolder = None,
    source: Annotated[str | None, typer.Option(help="Who performs.", show_default="the last person")] = None,
    expression: Annotated[
        list[str] | None, typer.Option("--expression", "-e", help="A picture's name; repeatable.", show_default="all")
    ] = None,
    strengths: Alphas = "0.30,0.32,0.34,0.36,0.38,0.40,0.42,0.44,0.46,0.48,0.50",
    compute: Compute = BUNDLED,
    marked: Marking = MARKED,
) -> None:
    """Run the paper's whole experiment: mean faces, transfers, strips, and tables of likeness and action units.

    Folders, names and formats are those of the paper's repository; likeness.csv, scores.csv and action_units.csv are
    the same for pandas. A run that broke off goes on; pictures that cannot be used are named and left out.
    """
    from flowxfer.evaluation.cast import Cast
    from flowxfer.evaluation.paper import run
    from flowxfer.images.people import TruePeople

    cast = Cast.read(data or TruePeople.bundled().folder, source=source, expressions=expression or None)
    values, embedder, meter = alphas(strengths), _embedder(likeness, weights), _meter(action_units, openface)
    marking = marks(marked)
    flow = transferer(replace(compute, plain=True))  # the paper subtracts
    mark = marking.edited(flow.manifest)
    with _progress() as progress:
        skipped = run(flow, cast, output, alphas=values, embedder=embedder, meter=meter, mark=mark, progress=progress)
    for picture in skipped:
        typer.echo(f"skipped {picture.picture}: {picture.reason}", err=True)
    typer.echo(output)


@grouped
def report(
    results: Annotated[Path, typer.Argument(help="The folder that `flowxfer paper` wrote.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page.", show_default="report.html in that folder")
    ] = None,
    marked: Marking = MARKED,
    force: Force = False,
) -> None:
    """Show a run of the paper's experiment as one HTML page: strips, likeness, action units, trade-off, failures.

    The page holds everything it shows and needs no network. Where fidelity.csv lies in the folder, as
    `flowxfer fidelity` writes it, it is shown too.
    """
    from flowxfer.evaluation.report import write_report

    page = unused(output or results / "report.html", force)
    write_report(results, page, marks(marked))
    typer.echo(page)


@grouped
def fidelity(
    output: Annotated[Path, typer.Option("--output", "-o", help="The CSV to write.")],
    data: Data = None,
    likeness: Likeness = "none",
    weights: Weights = None,
    action_units: Units = "none",
    openface: OpenFaceFolder = None,
    strengths: Alphas = "0.3,0.4,0.5,0.75,1",
    photographed: Photographed = NOBODY,
    compute: Compute = BUNDLED,
    marked: Marking = MARKED,
    force: Force = False,
) -> None:
    """Compare transfers with true pictures, and with the same arithmetic on pixels.

    Synthetic people have true pictures, and so have people who were photographed neutral and with an expression
    (--pairs). Errors are in units of that of no transfer: 0 is perfect, 1 is as good as doing nothing. With --pairs or
    --photographs, sheets and a table of all transfers are written beside the figures.
    """
    from flowxfer.evaluation.fidelity import evaluate, no_transfer, pixel_arithmetic, summary
    from flowxfer.evaluation.tables import write_tidy
    from flowxfer.images.people import TruePeople

    if data is not None and photographed != NOBODY:
        raise InputError(f"expected a folder of synthetic people, or --pairs and --photographs, got {data} beside them")
    path, values = unused(output, force), alphas(strengths)
    embedder, meter = _embedder(likeness, weights), _meter(action_units, openface)
    if photographed != NOBODY:
        return photographed.judge(path, values, embedder, meter, compute, marks(marked), force)
    people, flow = TruePeople.read(data) if data else TruePeople.bundled(), transferer(compute)
    methods = {"equation": flow.transfer, "pixels": pixel_arithmetic, "none": no_transfer}
    total = len(methods) * len(values) * len(people.expressions) * len(people.targets)
    found = evaluate(people, methods, flow.size, values, embedder=embedder, meter=meter)
    rows = list(track(found, total, "fidelity"))
    write_tidy(rows, path)
    for line in _lines(summary(rows)):
        typer.echo(line)
    typer.echo(path)


def _embedder(likeness: str, weights: Path | None) -> Embedder | None:
    from flowxfer.evaluation.likeness import Dlib, Facenet

    if likeness in ("none", "dlib"):
        if weights is not None:
            raise InputError(f"expected --likeness vggface2 or casia-webface with --weights, got {likeness}")
        return Dlib() if likeness == "dlib" else None
    return Facenet("vggface2" if likeness == "vggface2" else "casia-webface", weights=weights)


def _meter(action_units: str, openface: Path | None) -> Meter | None:
    from flowxfer.evaluation.blendshapes import Blendshapes
    from flowxfer.evaluation.openface import OpenFace, PyFaceAU

    if openface is not None and action_units != "openface":
        raise InputError(f"expected --action-units openface with --openface, got {action_units}")
    makers: dict[str, Callable[[], Meter | None]] = {
        "none": lambda: None,
        "blendshapes": Blendshapes,
        "openface": lambda: OpenFace(openface),
        "pyfaceau": PyFaceAU,
    }
    return makers[action_units]()


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    with downloading() as bars:
        yield lambda what, done, total: bars(what, done + 1, total)


def _lines(rows: list[Fidelity]) -> Iterator[str]:
    columns = [
        "mouth",
        "eyes",
        "brows",
        "changed",
        "whole",
        "drift",
        "psnr",
        "ssim",
        "likeness",
        "correlation",
        "units",
    ]
    yield f"{'method':10}{'alpha':>6}" + "".join(f"{column:>12}" for column in columns)
    for row in rows:
        yield f"{row.method:10}{row.alpha:>6g}" + "".join(f"{getattr(row, column):>12.3f}" for column in columns)
