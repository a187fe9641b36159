"""The tables of the paper's repository: likeness, action units, and tidy CSV for everything else.

Source: https://github.com/aandvalenzuela/normalizing-flows, folder ``evaluation``. Its files are read as they are and
written in the same form; what was not measured is written as ``nan``.
"""

from __future__ import annotations

import ast
import csv
import dataclasses
import logging
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import numpy as np

from flowxfer.errors import InputError, reason
from flowxfer.evaluation.action_units import INTENSITIES, Floats
from flowxfer.files import replacing

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["LikenessTable", "UnitTable", "read_likeness_set", "read_tidy", "write_tidy"]

Row = TypeVar("Row")

log = logging.getLogger(__name__)

_SWAPPED = {3: 4, 4: 3}
"""The published likeliness/expression3.csv is of the folder transferring/expression4, and the other way round."""


@dataclass(frozen=True, eq=False)
class LikenessTable:
    """One ``likeliness/expression{k}.csv``: how far P people's transferred faces are from source and target.

    Args:
        people: P names.
        alphas: A strengths.
        to_source: (P, A), float64: distances to the source's mean face.
        to_target: (P, A), float64: distances to the target's mean face.
        of_means: (P,), float64: distances between the two mean faces.
    """

    people: tuple[str, ...]
    alphas: tuple[float, ...]
    to_source: Floats
    to_target: Floats
    of_means: Floats

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> LikenessTable:
        """Read a file as the paper's repository has them: two rows a person, ``{id}_source`` and ``{id}_target``.

        Raises:
            InputError: the file is missing or of another form.
        """
        header, *rows = [row for row in csv.reader(_lines(path)) if row] or [[]]
        try:
            alphas = tuple(float(name) for name in header[1:-2])
            values = {name: [float(value) for value in row] for name, *row in rows}
            people = tuple(name.removesuffix("_source") for name in values if name.endswith("_source"))
            table = np.array([[values[f"{name}_source"], values[f"{name}_target"]] for name in people])
            sources, targets = np.swapaxes(table, 0, 1)
            to_source, to_target, of_means = sources[:, :-2], targets[:, :-2], sources[:, -1]
        except (KeyError, ValueError) as error:
            raise InputError(
                f"expected rows ID_source and ID_target of distances in {path}: {reason(error)}"
            ) from error
        if not alphas or to_source.shape != (len(people), len(alphas)) or len(values) != 2 * len(people):
            got = f"{len(rows)} rows of {len(alphas)} alphas"
            raise InputError(
                f"expected two rows a person, a column an alpha, and two for the means in {path}, got {got}"
            )
        return cls(people, alphas, to_source, to_target, of_means)

    def write(self, path: Path) -> None:
        """Write the file as ``expression1.csv`` was published."""
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write(f"output_images,{','.join(map(str, self.alphas))}, source, target\n")
            rows = zip(self.people, self.to_source, self.to_target, self.of_means.tolist(), strict=True)
            for name, to_source, to_target, between in rows:
                zero = 0.0 if math.isfinite(between) else math.nan
                _write_row(file, f"{name}_source", [*to_source.tolist(), zero, between])
                _write_row(file, f"{name}_target", [*to_target.tolist(), between, zero])


def read_likeness_set(folder: str | os.PathLike[str], *, published: bool = False) -> dict[int, LikenessTable]:
    """Read every ``expression{k}.csv`` in a folder ``likeliness``, by k.

    Args:
        folder: where they are.
        published: these are the paper's own five files: of those, 3 and 4 are swapped against the pictures, which is
            put right, and said in the log.

    Raises:
        InputError: there is none, or one of another form.
    """
    paths = {path.stem.removeprefix("expression"): path for path in sorted(Path(folder).glob("expression*.csv"))}
    tables = {int(number): LikenessTable.read(path) for number, path in paths.items() if number.isdecimal()}
    if not tables:
        raise InputError(f"expected files expression1.csv, expression2.csv, … in {folder}, but there are none")
    if not published:
        return dict(sorted(tables.items()))
    log.warning("the published tables 3 and 4 are swapped against the pictures; each is given the other's number")
    return dict(sorted((_SWAPPED.get(number, number), table) for number, table in tables.items()))


@dataclass(frozen=True, eq=False)
class UnitTable:
    """One ``quality/AUs_*.csv``: the action units of N pictures.

    Each of its lines but the first is the ``repr`` of a Python list of strings: the name of OpenFace's file, then the
    intensities in two decimals, each after a space; those of other meters than OpenFace in four.

    Args:
        names: N names of pictures without suffix, such as ``emma_0.3`` and ``emma_mean``.
        intensities: (N, U), float64; nan is "not measured".
        units: their U names, by default OpenFace's 17.
    """

    names: tuple[str, ...]
    intensities: Floats
    units: tuple[str, ...] = INTENSITIES

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> UnitTable:
        """Read a file as the paper's repository has them.

        Raises:
            InputError: the file is missing or of another form.
        """
        header, *lines = _lines(path) or [""]
        try:
            units = tuple(name.strip().removesuffix("_r") for name in header.strip().strip("[]").split(",")[1:])
            rows = [_strings(line) for line in lines if line.strip()]
            values = np.array([[float(value) for value in row[1:]] for row in rows])
        except (ValueError, SyntaxError, TypeError) as error:
            raise InputError(f"expected lists of a name and numbers in {path}: {reason(error)}") from error
        if not units or values.shape != (len(rows), len(units)):
            got = f"{len(rows)} lines of shape {values.shape[1:]}"
            raise InputError(
                f"expected lists of a name and {len(units)} numbers, as the first line says, in {path}, got {got}"
            )
        return cls(tuple(row[0].removesuffix(".csv") for row in rows), values, units)

    def write(self, path: Path) -> None:
        """Write the file as it was published."""
        digits = 2 if self.units == INTENSITIES else 4
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write(f"[{', '.join(['filename', *(f'{unit}_r' for unit in self.units)])}]\n")
            for name, intensities in zip(self.names, self.intensities, strict=True):
                file.write(f"{[f'{name}.csv', *(f' {value:.{digits}f}' for value in intensities)]}\n")

    def __getitem__(self, name: str) -> Floats:
        """Intensities (U,) of the picture ``name``.

        Raises:
            InputError: the table has no such picture.
        """
        if name not in self.names:
            raise InputError(f"expected a picture of the table, such as {', '.join(self.names[:3])}, got {name}")
        return np.asarray(self.intensities[self.names.index(name)])


def write_tidy(rows: Sequence[DataclassInstance], path: Path) -> None:
    """Write dataclasses of one kind as CSV, a row each and a column for each field; ``nan`` is an empty cell.

    Raises:
        InputError: there is no row.
    """
    if not rows:
        raise InputError(f"expected at least one row for {path}, got none")
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in dataclasses.fields(rows[0]))
        writer.writerows([_cell(value) for value in dataclasses.astuple(row)] for row in rows)


def read_tidy(kind: type[Row], path: str | os.PathLike[str]) -> list[Row]:
    """Read what :func:`write_tidy` wrote, as dataclasses of that kind; an empty cell is ``nan``.

    The last columns may be missing where the kind's fields have defaults, which an earlier version did not write.

    Raises:
        InputError: the file is missing, has other columns, or a cell is no number where the kind has one.
    """
    types = [get_type_hints(kind)[field.name] for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    required = sum(field.default is dataclasses.MISSING for field in dataclasses.fields(kind))  # type: ignore[arg-type]
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *lines = list(csv.reader(file)) or [[]]
            if header != names[: len(header)] or len(header) < required:
                raise ValueError(f"its columns are {','.join(header) or 'none'}")
            return [kind(*_values(types[: len(header)], line)) for line in lines]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"expected a table of {','.join(names)} in {path}, but it cannot be read: {reason(error)}"
        ) from error


def _values(types: list[type], line: list[str]) -> list[Any]:
    return [kind("nan" if kind is float and cell == "" else cell) for kind, cell in zip(types, line, strict=True)]


def _cell(value: Any) -> Any:
    return "" if isinstance(value, float) and math.isnan(value) else value


def _write_row(file: Any, name: str, values: Iterable[float]) -> None:
    file.write(f"{name},{','.join(map(str, values))}\n")


def _strings(line: str) -> list[str]:
    row = ast.literal_eval(line)
    if not isinstance(row, list) or not all(isinstance(value, str) for value in row) or not row:
        raise ValueError(f"{line.strip()[:40]} is no list of strings")
    return row


def _lines(path: str | os.PathLike[str]) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8-sig").splitlines()  # a byte order mark, as spreadsheets write
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"expected a table at {path}, but it cannot be read: {reason(error)}") from error
