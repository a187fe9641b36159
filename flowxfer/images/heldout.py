"""Held-out people, whose true expressions are known: rendered ones, and those who were photographed twice."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowxfer.errors import InputError, reason
from flowxfer.images.arrays import read_npy, read_npz
from flowxfer.images.reading import Pixels, load_faces, pictures_among
from flowxfer.types import Array

__all__ = ["HeldOut"]

NEUTRAL = "neutral"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """P people who all show the same E expressions, each at A strengths.

    Args:
        names: of the expressions.
        strengths: A of them, ascending to 1.
        seeds: (P,): who the rendered ones are; not numbers for those who were photographed.
        neutral: uint8 (P, S, S, 3).
        expressions: uint8 (P, E, A, S, S, 3).
    """

    names: tuple[str, ...]
    strengths: Array
    seeds: Array
    neutral: Pixels
    expressions: Pixels

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> HeldOut:
        """Read uint8 (P, 1 + E·A, S, S, 3) and the .npz of the same name, with ``names``, ``strengths`` and ``seeds``.

        Raises:
            InputError: a file cannot be read or is not of that form.
        """
        try:
            pictures = read_npy(path)
            truth = read_npz(Path(path).with_suffix(".npz"), "names", "strengths", "seeds")
            names, strengths, seeds = map(np.atleast_1d, truth)
        except (OSError, ValueError) as error:
            raise InputError(
                f"expected held-out people and their .npz at {path}: {reason(error)}; "
                "`python -m flowxfer.synth evaluation -o FILE.npy` renders them"
            ) from error
        count = 1 + len(names) * len(strengths)
        if pictures.ndim != 5 or pictures.dtype != np.uint8 or pictures.shape[1] != count or len(pictures) < 4:
            got = f"{pictures.dtype} {pictures.shape}"
            raise InputError(f"expected uint8 pictures (P, {count}, S, S, 3) of 4 people or more in {path}, got {got}")
        shape = len(pictures), len(names), len(strengths), *pictures.shape[2:]
        return cls(
            tuple(map(str, names)),
            strengths,
            seeds,
            np.ascontiguousarray(pictures[:, 0]),
            pictures[:, 1:].reshape(shape),
        )

    @classmethod
    def photographed(cls, folder: str | os.PathLike[str], size: int) -> HeldOut:
        """Read pictures ``PERSON_neutral.png`` and ``PERSON_EXPRESSION.png`` of the people who show all expressions.

        Args:
            folder: searched without its subfolders.
            size: S; larger faces are reduced.

        Raises:
            InputError: there are not two such people; one performs for the other.
            ImageError: a picture cannot be read.
        """
        found: dict[str, dict[str, Path]] = {}
        for path in sorted(pictures_among(Path(folder).glob("*_*.*"))):
            person, _, expression = path.stem.rpartition("_")
            if person:
                found.setdefault(expression, {})[person] = path
        neutral = found.pop(NEUTRAL, {})
        everybody = [person for person in neutral if all(person in people for people in found.values())]
        if not found or len(everybody) < 2:
            raise InputError(
                f"expected two people or more in {folder} with pictures such as ann_neutral.png and ann_smiling.png, "
                f"got {len(everybody) if found else 0}"
            )
        columns = [
            load_faces([people[who] for who in everybody], size, resize=True) for people in (neutral, *found.values())
        ]
        truth = np.stack(columns[1:], 1)[:, :, None]
        return cls(tuple(found), np.ones(1), np.full(len(everybody), np.nan), columns[0], truth)

    @property
    def truth(self) -> Pixels:
        """Every expression in full, uint8 (P, E, S, S, 3)."""
        return self.expressions[:, :, -1]

    def __len__(self) -> int:
        return len(self.neutral)

    def __getitem__(self, people: slice) -> HeldOut:
        """Some of the people."""
        seeds, neutral, expressions = self.seeds[people], self.neutral[people], self.expressions[people]
        return HeldOut(self.names, self.strengths, seeds, neutral, expressions)
