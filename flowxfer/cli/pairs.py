"""``flowxfer fidelity --pairs``: people who were photographed neutral and with an expression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flowxfer.cli.options import Compute
from flowxfer.cli.running import names, track, transferer
from flowxfer.errors import InputError

if TYPE_CHECKING:
    from flowxfer.evaluation.action_units import Meter
    from flowxfer.evaluation.cast import Skipped
    from flowxfer.evaluation.likeness import Embedder
    from flowxfer.evaluation.observations import Figure
    from flowxfer.images import Pixels
    from flowxfer.provenance import Marks

__all__ = ["fidelity_of_pairs"]


def fidelity_of_pairs(
    path: Path,
    folder: Path,
    photographs: Path | None,
    alphas: Sequence[float],
    performers: int,
    embedder: Embedder | None,
    meter: Meter | None,
    compute: Compute,
    marks: Marks,
) -> None:
    """Write figures to ``path``, beside them a row for each observation and a sheet for each expression."""
    from flowxfer import images
    from flowxfer.evaluation.cast import usable
    from flowxfer.evaluation.observations import Judge, Observation, summary
    from flowxfer.evaluation.pairs import Pairs, sheet, transfers
    from flowxfer.evaluation.tables import write_tidy

    pairs, flow, judge = Pairs.read(folder), transferer(compute), Judge(embedder, meter)
    faces, skipped = usable(pairs.files, flow.size, embedder, meter)
    others = None
    if photographs is not None:
        others, more = _photographs(photographs, flow.size, embedder, meter)
        skipped += more
    for picture in skipped:
        typer.echo(f"skipped {picture.picture}: {picture.reason}", err=True)
    seen: list[Observation] = []
    for scene in pairs.scenes(faces, others):
        made = []
        for each in track(transfers(flow, scene, alphas=alphas, performers=performers), None, scene.expression):
            made.append(each)
            seen += judge.observe(each)
        beside = path.with_name(f"{path.stem}_{scene.expression}.png")
        images.save(sheet(made), beside, marks.edited(flow.manifest, *alphas))
    figures = summary(seen)
    write_tidy(seen, path.with_name(f"{path.stem}_transfers.csv"))
    write_tidy(figures, path)
    for line in _lines(figures):
        typer.echo(line)
    typer.echo(path)


def _photographs(
    folder: Path, size: int, embedder: Embedder | None, meter: Meter | None
) -> tuple[dict[str, Pixels], list[Skipped]]:
    from flowxfer import images
    from flowxfer.evaluation.cast import usable

    faces, skipped = usable(images.expand([folder]), size, embedder, meter)
    if not faces:
        raise InputError(
            f"expected aligned faces in {folder}, but none of its pictures can be used: {skipped[0].reason}; "
            "`flowxfer align` cuts faces out of photographs"
        )
    return dict(zip(names(list(faces)), faces.values(), strict=True)), skipped


def _lines(figures: Sequence[Figure]) -> Iterator[str]:
    """A table for each expression: below each figure its interval."""
    columns = list(dict.fromkeys(figure.figure for figure in figures))
    for expression in dict.fromkeys(figure.expression for figure in figures):
        own = [figure for figure in figures if figure.expression == expression]
        yield f"{expression:<20}{'alpha':>6}" + "".join(f"{column:>13}" for column in columns)
        for method, alpha in dict.fromkeys((figure.method, figure.alpha) for figure in own):
            row = {figure.figure: figure for figure in own if (figure.method, figure.alpha) == (method, alpha)}
            means = [f"{row[column].mean:.2f}" if column in row else "" for column in columns]
            intervals = [f"{row[c].low:.2f}…{row[c].high:.2f}" if c in row else "" for c in columns]
            yield f"{method:<20}{alpha:>6g}" + "".join(f"{mean:>13}" for mean in means)
            yield " " * 26 + "".join(f"{interval:>13}" for interval in intervals)
