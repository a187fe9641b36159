"""Which picture has which attributes."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flowxfer.errors import InputError, reason

__all__ = ["Labels", "read_labels"]

_LARGEST = 1e30


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of pictures.

    Attributes:
        pictures: their names.
        attributes: names of the attributes.
        values: shape (pictures, attributes), float64: more is more of it, such as -1 and 1, 0 and 1, or a number.
    """

    pictures: tuple[str, ...]
    attributes: tuple[str, ...]
    values: npt.NDArray[np.float64]


def read_labels(path: str | os.PathLike[str]) -> Labels:
    """Read a list of labels: CelebA's ``list_attr_celeba.txt``, or a table of comma-separated values.

    The first has the number of pictures, then the attributes' names, then a line for each picture: its name and -1 or 1
    for each attribute, with blanks between. The second begins with the column names; a row is a picture's name and a
    number for each attribute.

    Raises:
        InputError: the file cannot be read, or is neither.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            rows = list(
                _celeba(file.readlines()) if first.strip().isdigit() else csv.reader(file, skipinitialspace=True)
            )
        return _labels(rows)
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"expected labels as CelebA's list_attr_celeba.txt or comma-separated values in {path}: {reason(error)}"
        ) from error


def _celeba(lines: list[str]) -> Iterator[list[str]]:
    rows = [line.split() for line in lines[1:]]
    if (there := sum(map(bool, rows[1:]))) != int(lines[0]):
        raise ValueError(f"{there} pictures, where the first line says {int(lines[0])}")
    yield ["", *rows[0]] if rows else []
    yield from rows[1:]


def _labels(rows: list[list[str]]) -> Labels:
    (_, *attributes), *pictures = rows if rows and rows[0] else [[""]]
    pictures = [row for row in pictures if row]
    if not attributes or not pictures or len(set(attributes)) < len(attributes):
        raise ValueError("it needs at least one attribute, each once, and one picture")
    if not all(name and name.isprintable() for name in attributes):
        raise ValueError("an attribute has no name, or one that cannot be printed")
    for name, *row in pictures:
        if len(row) != len(attributes):
            raise ValueError(f"{len(row)} numbers for {name}, where there are {len(attributes)} attributes")
    values = np.array([[float(value) for value in row[1:]] for row in pictures])
    if not (np.abs(values) < _LARGEST).all():  # which nan is not
        raise ValueError("a number is not finite, or enormous")
    return Labels(tuple(row[0] for row in pictures), tuple(attributes), values)
