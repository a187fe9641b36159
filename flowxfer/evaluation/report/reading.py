"""What a run of the paper's experiment left in its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from flowxfer.bundle import sha256
from flowxfer.errors import InputError, reason
from flowxfer.evaluation.cast import Skipped
from flowxfer.evaluation.fidelity import Fidelity
from flowxfer.evaluation.judging import LikenessRow, ScoreRow, UnitRow
from flowxfer.evaluation.layout import Layout
from flowxfer.evaluation.tables import read_tidy

__all__ = ["Run"]

Row = TypeVar("Row")


class Model(NamedTuple):
    """The model of a run, as a mark names it."""

    name: str | None
    model_hash: str


@dataclass(frozen=True)
class Run:
    """A run of :func:`flowxfer.evaluation.paper.run`; a table that was not measured has no row.

    Args:
        layout: where it lies.
        source: who performed.
        targets: who was to receive.
        expressions: names by number.
        alphas: strengths, ascending.
        model: what made the pictures.
        scale: of the distances, such as ``"dlib"``; None where likeness was not measured.
        meter: of the action units; None where they were not measured.
        made_with: versions and the model, by what they are of.
        likeness: distances of every transfer.
        scores: how near its action units come to the expression's.
        units: the action units themselves.
        fidelity: ``fidelity.csv`` beside ``run.json``: distances from the true pictures.
        skipped: pictures that were left out.
        hashes: SHA-256 of the files read, by name.
    """

    layout: Layout
    source: str
    targets: tuple[str, ...]
    expressions: dict[int, str]
    alphas: tuple[float, ...]
    model: Model
    scale: str | None
    meter: str | None
    made_with: dict[str, str]
    likeness: list[LikenessRow]
    scores: list[ScoreRow]
    units: list[UnitRow]
    fidelity: list[Fidelity]
    skipped: list[Skipped]
    hashes: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Read ``run.json`` and the tidy tables.

        Raises:
            InputError: the folder holds no run, or one of the files is damaged.
        """
        layout = Layout(Path(folder))
        run = _description(layout.run)
        tables = {name: layout.tidy(name) for name in ("likeness", "scores", "action_units", "skipped")}
        tables["fidelity"] = layout.root / "fidelity.csv"
        files = [layout.run, *(path for path in tables.values() if path.exists())]
        try:
            return cls(
                layout,
                source=str(run["source"]),
                targets=tuple(map(str, run["targets"])),
                expressions={int(number): str(name) for number, name in run["expressions"].items()},
                alphas=tuple(sorted(map(float, run["alphas"]))),
                model=_model(run),
                scale=run.get("likeness"),
                meter=run.get("action units"),
                made_with={"model hash": str(run["model"]), **run.get("made with", {})},
                likeness=_rows(LikenessRow, tables["likeness"]),
                scores=_rows(ScoreRow, tables["scores"]),
                units=_rows(UnitRow, tables["action_units"]),
                fidelity=_rows(Fidelity, tables["fidelity"]),
                skipped=_rows(Skipped, tables["skipped"]),
                hashes={str(path.relative_to(layout.root)): sha256(path) for path in files},
            )
        except InputError:
            raise  # it names the table
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise InputError(
                f"expected what `flowxfer paper` writes in {layout.run}, but {reason(error)} is wrong"
            ) from error


def _description(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"expected the folder of a run at {path.parent}, but its {path.name} cannot be read: {reason(error)}; "
            "`flowxfer paper -o FOLDER` makes one"
        ) from error


def _model(run: dict[str, Any]) -> Model:
    described = str(run.get("made with", {}).get("model", ""))  # its name, a comma, and the rest
    return Model(described.partition(",")[0] or None, str(run["model"]))


def _rows(kind: type[Row], path: Path) -> list[Row]:
    return read_tidy(kind, path) if path.exists() else []
