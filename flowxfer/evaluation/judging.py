"""The paper's two judgements of a run: likeness and action units, as published and as tidy CSV.

A table that is there is read, not measured again.
"""

from __future__ import annotations

from dataclasses import dataclass

from flowxfer import images
from flowxfer.evaluation.action_units import Floats, Meter, score
from flowxfer.evaluation.layout import Progress, Results
from flowxfer.evaluation.likeness import Embedder, distance
from flowxfer.evaluation.tables import LikenessTable, UnitTable, write_tidy

__all__ = ["LikenessRow", "ScoreRow", "UnitRow", "judge_action_units", "judge_likeness"]


@dataclass(frozen=True)
class LikenessRow:
    """A transferred face's distances to the mean faces of source and target, and the distance between those two."""

    expression: int
    name: str
    person: str
    alpha: float
    to_source: float
    to_target: float
    of_means: float


@dataclass(frozen=True)
class ScoreRow:
    """How near a face's action units come to the expression's; alpha 0 is the target's mean face."""

    expression: int
    name: str
    person: str
    alpha: float
    correlation: float
    error: float


@dataclass(frozen=True)
class UnitRow:
    """One action unit of a face, and of the expression that it was given, on the meter's scale."""

    expression: int
    name: str
    person: str
    alpha: float
    unit: str
    intensity: float
    reference: float


def judge_likeness(results: Results, embedder: Embedder, progress: Progress) -> None:
    """Write ``likeliness/expression{k}.csv`` and ``likeness.csv``."""
    layout, rows = results.layout, list[LikenessRow]()
    names = [*results.targets, results.source]
    means = embedder.embed([images.load(layout.mean(name)) for name in names])
    for done, (number, path) in enumerate(results.expressions.items()):
        progress("likeness", done, len(results.expressions))
        if not _complete(results, number):
            made = embedder.embed([images.load(picture) for picture in results.pictures(number)])
            _table(results, made, means).write(layout.likeliness(number))
        rows += _likeness_rows(number, path.stem, LikenessTable.read(layout.likeliness(number)))
    if rows:
        write_tidy(rows, layout.tidy("likeness"))


def judge_action_units(results: Results, meter: Meter, progress: Progress) -> None:
    """Write ``quality/AUs_*.csv`` with the raw files, and ``action_units.csv`` and ``scores.csv``."""
    layout, names = results.layout, [path.stem for path in results.expressions.values()]
    if not results.expressions:
        return
    if not layout.units("reference").exists():
        measured = meter.measure(list(results.expressions.values()))
        UnitTable(tuple(names), measured.intensities, measured.units).write(layout.units("reference"))
    reference = UnitTable.read(layout.units("reference"))
    units, scores = list[UnitRow](), list[ScoreRow]()
    for done, (number, path) in enumerate(results.expressions.items()):
        progress("action units", done, len(results.expressions))
        table = _units(results, number, meter)
        units += _unit_rows(number, path.stem, table, reference[path.stem])
        scores += _score_rows(number, path.stem, table, reference[path.stem])
    write_tidy(units, layout.tidy("action_units"))
    write_tidy(scores, layout.tidy("scores"))


def _complete(results: Results, number: int) -> bool:
    """Whether there is a table of everybody: since the last call a picture may have been mended, and brought people."""
    path = results.layout.likeliness(number)
    return path.exists() and LikenessTable.read(path).people == results.targets


def _table(results: Results, made: Floats, means: Floats) -> LikenessTable:
    *_, source = means
    targets, made = means[:-1], made.reshape(len(results.targets), len(results.alphas), -1)
    to_source, to_target = distance(made, source), distance(made, targets[:, None])
    return LikenessTable(results.targets, results.alphas, to_source, to_target, distance(targets, source))


def _units(results: Results, number: int, meter: Meter) -> UnitTable:
    """Every target in every strength, then their mean face, under the published names; measured where there is none."""
    pictures, path = [], results.layout.units(f"expression{number}")
    for person in sorted(results.targets):
        pictures += [results.layout.picture(number, person, alpha) for alpha in results.alphas]
        pictures.append(results.layout.mean(person))
    names = tuple(picture.stem for picture in pictures)
    if not path.exists() or UnitTable.read(path).names != names:
        measured = meter.measure(pictures, results.layout.raw_units(number))
        UnitTable(names, measured.intensities, measured.units).write(path)
    return UnitTable.read(path)


def _likeness_rows(number: int, name: str, table: LikenessTable) -> list[LikenessRow]:
    rows = []
    for index, person in enumerate(table.people):
        for column, alpha in enumerate(table.alphas):
            to_source, to_target = float(table.to_source[index, column]), float(table.to_target[index, column])
            of_means = float(table.of_means[index])
            rows.append(LikenessRow(number, name, person, alpha, to_source, to_target, of_means))
    return rows


def _unit_rows(number: int, name: str, table: UnitTable, reference: Floats) -> list[UnitRow]:
    return [
        UnitRow(number, name, *_who(picture), unit, float(intensity), float(wanted))
        for picture, intensities in zip(table.names, table.intensities, strict=True)
        for unit, intensity, wanted in zip(table.units, intensities, reference, strict=True)
    ]


def _score_rows(number: int, name: str, table: UnitTable, reference: Floats) -> list[ScoreRow]:
    scores = score(table.intensities, reference)
    rows = zip(table.names, scores.correlation.tolist(), scores.error.tolist(), strict=True)
    return [ScoreRow(number, name, *_who(picture), correlation, error) for picture, correlation, error in rows]


def _who(picture: str) -> tuple[str, float]:
    """Person and alpha of ``emma_0.3`` or ``emma_mean``."""
    person, _, alpha = picture.rpartition("_")
    return person, 0.0 if alpha == "mean" else float(alpha)
