"""Facial action units: what is measured in a face, and how much of an expression has arrived.

The facial action coding system (FACS) names the movements of a face. OpenFace ("OpenFace 2.0: Facial behavior analysis
toolkit", FG 2018) gives 17 of them an intensity, from 0 to 5, and says of 18 whether they are present: AU28 has a
presence alone. Other meters have other units: MediaPipe's blendshapes are 51, from 0 to 1.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from flowxfer import images
from flowxfer.errors import InputError, ShapeError, reason
from flowxfer.images import Pixels

__all__ = [
    "INTENSITIES",
    "PRESENCES",
    "UNITS",
    "ActionUnits",
    "Floats",
    "Meter",
    "Score",
    "measured",
    "read_openface",
    "score",
]

Floats = npt.NDArray[np.float64]

UNITS = {
    "AU01": "inner brow raiser",
    "AU02": "outer brow raiser",
    "AU04": "brow lowerer",
    "AU05": "upper lid raiser",
    "AU06": "cheek raiser",
    "AU07": "lid tightener",
    "AU09": "nose wrinkler",
    "AU10": "upper lip raiser",
    "AU12": "lip corner puller",
    "AU14": "dimpler",
    "AU15": "lip corner depressor",
    "AU17": "chin raiser",
    "AU20": "lip stretcher",
    "AU23": "lip tightener",
    "AU25": "lips part",
    "AU26": "jaw drop",
    "AU28": "lip suck",
    "AU45": "blink",
}
PRESENCES = tuple(UNITS)
INTENSITIES = tuple(unit for unit in UNITS if unit != "AU28")


@dataclass(frozen=True, eq=False)
class ActionUnits:
    """The action units of N faces; ``nan`` stands for "not measured".

    Args:
        intensities: (N, U), float64, in the order of ``units``.
        presences: (N, 18), float64, 0 or 1, in the order of :data:`PRESENCES`.
        confidence: (N,), float64, 0 to 1: how sure the landmarks are.
        units: what is measured: OpenFace's 17, from 0 to 5, or those of another meter.
    """

    intensities: Floats
    presences: Floats
    confidence: Floats
    units: tuple[str, ...] = INTENSITIES

    @classmethod
    def not_measured(cls, count: int = 1) -> ActionUnits:
        """Faces that were not found."""
        shapes = (count, len(INTENSITIES)), (count, len(PRESENCES)), (count,)
        intensities, presences, confidence = (np.full(shape, np.nan) for shape in shapes)
        return cls(intensities, presences, confidence)

    @classmethod
    def concatenate(cls, parts: Sequence[ActionUnits]) -> ActionUnits:
        """All faces of several, of OpenFace's units, in order; none where there are no parts."""
        parts = [cls.not_measured(0), *parts]
        return cls(
            np.concatenate([part.intensities for part in parts]),
            np.concatenate([part.presences for part in parts]),
            np.concatenate([part.confidence for part in parts]),
        )

    def best(self) -> ActionUnits:
        """The face of the highest confidence, as one; "not measured" where there is no face."""
        if not len(self) or np.isnan(self.confidence).all():
            return self[:1] if len(self) else self.not_measured()
        index = int(np.nanargmax(self.confidence))
        return self[index : index + 1]

    def __len__(self) -> int:
        return len(self.intensities)

    def __getitem__(self, faces: slice) -> ActionUnits:
        return ActionUnits(self.intensities[faces], self.presences[faces], self.confidence[faces], self.units)


class Meter(Protocol):
    """Whatever measures action units in pictures."""

    def measure(self, pictures: Sequence[Path], raw: Path | None = None) -> ActionUnits:
        """Measure the most certain face of each picture: N pictures, N faces, some of them "not measured".

        Args:
            pictures: files whose names differ.
            raw: a folder to keep what was measured, ``{name}.csv`` for each picture that has a face.
        """
        ...


def measured(meter: Meter, pictures: Iterable[Pixels]) -> ActionUnits:
    """Measure pictures that are no files, each RGB, shape (H, W, 3), uint8."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for index, picture in enumerate(pictures):
            files.append(Path(folder, f"{index}.png"))
            images.save(picture, files[-1])
        return meter.measure(files)


def read_openface(path: str | os.PathLike[str]) -> ActionUnits:
    """Read a CSV file of OpenFace's FaceLandmarkImg or FeatureExtraction, or of pyfaceau: a row a face or a frame.

    A frame whose ``success`` is 0 is "not measured". A file without a row is a picture without a face.

    Raises:
        InputError: the file is missing, lacks an intensity, or holds something that is no number.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            # skipinitialspace: OpenFace parts its columns by a comma and a space.
            reader = csv.DictReader(file, skipinitialspace=True)
            rows, header = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"expected OpenFace's CSV at {path}, but it cannot be read: {reason(error)}") from error
    missing = [f"{unit}_r" for unit in INTENSITIES if f"{unit}_r" not in header]
    if missing and any(_succeeded(row) for row in rows):  # pyfaceau writes no such column where no frame has a face
        raise InputError(f"expected the columns AU01_r to AU45_r in {path}, got none of {', '.join(missing)}")
    try:
        return ActionUnits.concatenate([_face(row) if _succeeded(row) else ActionUnits.not_measured() for row in rows])
    except (TypeError, ValueError) as error:
        raise InputError(
            f"expected numbers in {path}, got something else or a row cut short: {reason(error)}"
        ) from error


def _succeeded(row: dict[str, str]) -> bool:
    return row.get("success", "1") not in ("0", "False")


def _face(row: dict[str, str]) -> ActionUnits:
    intensities = [float(row[f"{unit}_r"]) for unit in INTENSITIES]
    presences = [float(row.get(f"{unit}_c", "nan")) for unit in PRESENCES]
    confidence = [float(row.get("confidence", "nan"))]
    return ActionUnits(np.array([intensities]), np.array([presences]), np.array(confidence))


@dataclass(frozen=True, eq=False)
class Score:
    """How near N faces come to the expressions that they were given; ``nan`` where either was not measured.

    Args:
        correlation: (N,), -1 to 1: Pearson's, over the U intensities; nan where all intensities of a face are equal.
        error: (N,): mean of the absolute differences of the intensities, on their scale.
        per_unit: (N, U): those absolute differences.
    """

    correlation: Floats
    error: Floats
    per_unit: Floats


def score(made: Floats, expression: Floats) -> Score:
    """Compare intensities with those of the expression that was transferred.

    Args:
        made: (N, U) or (U,), intensities of the transferred faces.
        expression: (U,), or (N, U), one for each.

    Raises:
        ShapeError: these are not as many intensities on both sides.
    """
    made, expression = np.atleast_2d(made), np.atleast_2d(expression)
    if made.ndim != 2 or made.shape[1:] != expression.shape[1:] or len(expression) not in (1, len(made)):
        raise ShapeError(
            f"expected the same units of each face and of the expression, one or as many as faces, got shapes "
            f"{made.shape} and {expression.shape}; use one meter"
        )
    per_unit = np.abs(made - expression)
    return Score(_correlation(made, expression), per_unit.mean(1), per_unit)


def _correlation(a: Floats, b: Floats) -> Floats:
    """Pearson's correlation of each row."""
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.asarray(np.divide((a * b).sum(1), scale, out=np.full(len(a), np.nan), where=scale > 0))
