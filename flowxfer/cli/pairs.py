"""``flowxfer fidelity --pairs``: people who were photographed neutral and with an expression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from flowxfer.cli.options import Compute
from flowxfer.cli.running import names, track, transferer, unused
from flowxfer.errors import InputError

if TYPE_CHECKING:
    from flowxfer.evaluation.action_units import Meter
    from flowxfer.evaluation.cast import Skipped
    from flowxfer.evaluation.likeness import Embedder
    from flowxfer.evaluation.observations import Figure
    from flowxfer.images import Pixels
    from flowxfer.provenance import Marks

__all__ = ["NOBODY", "Photographed"]

_PERFORMERS = 4


@dataclass(frozen=True)
class Photographed:
    """People who judge in place of synthetic ones."""

    PANEL: ClassVar = "Photographed people"

    pairs: Annotated[
        Path | None,
        typer.Option(help="People who perform for each other: a folder of ANN_neutral.png, ANN_smiling.png, BO_…"),
    ] = None
    photographs: Annotated[
        Path | None, typer.Option(help="A folder of faces who receive what --pairs, or the demo people, perform.")
    ] = None
    performers: Annotated[
        int | None, typer.Option(min=1, help="Of --pairs: how many perform for each.", show_default=str(_PERFORMERS))
    ] = None

    def judge(
        self,
        path: Path,
        alphas: Sequence[float],
        embedder: Embedder | None,
        meter: Meter | None,
        compute: Compute,
        marks: Marks,
        force: bool,
    ) -> None:
        """Write figures to ``path``, beside them a row for each observation and a sheet for each expression."""
        from flowxfer import images
        from flowxfer.evaluation.cast import usable
        from flowxfer.evaluation.observations import Judge, Observation, summary
        from flowxfer.evaluation.pairs import Pairs, directions, sheet, transfers
        from flowxfer.evaluation.tables import write_tidy
        from flowxfer.images.people import TruePeople

        if not (self.pairs or self.photographs):
            raise InputError("expected --pairs or --photographs with --performers, got neither")
        pairs, flow = Pairs.read(self.pairs or TruePeople.bundled().folder / "truth"), transferer(compute)
        faces, skipped = usable(pairs.files, flow.size, embedder, meter)
        others = None
        if self.photographs is not None:
            others, more = _photographs(self.photographs, flow.size, embedder, meter)
            skipped += more
        for picture in skipped:
            typer.echo(f"skipped {picture.picture}: {picture.reason}", err=True)
        scenes = pairs.scenes(faces, others)
        rows, *sheets = [
            unused(path.with_name(f"{path.stem}_{name}"), force)
            for name in ("transfers.csv", *(f"{scene.expression}.png" for scene in scenes))
        ]
        judge, seen = Judge(embedder, meter), list[Observation]()
        for scene, beside in zip(scenes, sheets, strict=True):
            made = []
            given = transfers(flow, scene, directions(flow), alphas, performers=self.performers or _PERFORMERS)
            for each in track(given, None, scene.expression):
                made.append(each)
                seen += judge.observe(each)
            images.save(sheet(made), beside, marks.edited(flow.manifest, *alphas))
        write_tidy(seen, rows)
        write_tidy(figures := summary(seen), path)
        for line in _lines(figures):
            typer.echo(line)
        typer.echo(path)


NOBODY = Photographed()


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
