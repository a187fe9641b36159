"""Files of people who share expressions: rendered ones, and photographs that were animated."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowxfer.directions.arkit import ACTIONS
from flowxfer.errors import InputError, ShapeError, reason
from flowxfer.glow.training.stores import Pixels
from flowxfer.images.arrays import read_npy, read_npz

__all__ = ["Shard"]


@dataclass(frozen=True, eq=False)
class Shard:
    """G groups of I people who share E expressions.

    A ``.npy`` holds the pictures, and the ``.npz`` of the same name the rest, of which all but ``strengths`` may be
    absent: then everybody is rendered and shows everything.

    Args:
        pictures: uint8 (G, I, 1 + 2E, S, S, 3): picture 0 is the neutral face, pictures 2e + 1 and 2e + 2 are
            expression e in full and at its strength.
        strengths: float32 (G, E).
        expressions: weights of the ARKit actions, float32 (G, E, 52); zero where they are not known.
        valid: whether a person's pictures of an expression are to be used, bool (G, I, E).
        people: how many of a group are rendered; those from there on are photographs.
        shown: groups and expressions that at least two people show, int (M, 2).
    """

    pictures: Pixels
    strengths: NDArray[np.float32]
    expressions: NDArray[np.float32]
    valid: NDArray[np.bool_]
    people: int
    shown: NDArray[np.int64]

    @classmethod
    def read(cls, name: str, image_size: int) -> Shard:
        """Open a shard with pictures of S pixels or a multiple of it.

        Raises:
            InputError: a file is damaged, or no two people of a group show an expression.
            ShapeError: an array has another shape or dtype than the others demand; the message names the file.
        """
        table = Path(name).with_suffix(".npz")
        try:
            pictures = read_npy(name)
            strengths = np.atleast_2d(read_npz(table, "strengths")[0].astype(np.float32))
            arrays = _optional(table, "expressions", "valid", "people")
            shape, (groups, count) = pictures.shape, strengths.shape
            people = int(arrays["people"]) if "people" in arrays else shape[1]
        except (OSError, ValueError, TypeError, IndexError, zipfile.BadZipFile) as error:
            raise InputError(f"expected a paired shard and its .npz at {name}: {reason(error)}") from error
        size = shape[3] if len(shape) == 6 and shape[3] % image_size == 0 else image_size
        expected = groups, shape[1], 1 + 2 * count, size, size, 3
        if pictures.dtype != np.uint8 or shape != expected or shape[1] < 2:
            raise ShapeError(f"expected uint8 pictures {expected} in {name}, got {pictures.dtype} {shape}")
        expressions = arrays.get("expressions", np.zeros((groups, count, len(ACTIONS))))
        valid = arrays.get("valid", np.ones((groups, shape[1], count), bool))
        for what, array, form in (
            ("expressions", expressions, (groups, count, len(ACTIONS))),
            ("valid", valid, (groups, shape[1], count)),
        ):
            if array.shape != form or array.dtype.kind not in "biuf":
                raise ShapeError(f"expected {what} {form} in {table}, got {array.dtype} {array.shape}")
        shown = np.argwhere(valid.astype(bool).sum(1) >= 2)
        if not len(shown):
            raise InputError(f"expected expressions that two people of a group show in {name}, got none")
        return cls(pictures, strengths, expressions.astype(np.float32), valid.astype(bool), people, shown)

    @property
    def flat(self) -> Pixels:
        """All pictures, in the order of :meth:`number`."""
        return self.pictures.reshape(-1, *self.pictures.shape[3:])

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return len(self.flat)

    @property
    def people_in_group(self) -> int:
        """I."""
        return int(self.valid.shape[1])

    def number(self, group: int, person: int, picture: int) -> int:
        """The place of a picture among all."""
        pictures = int(self.pictures.shape[2])
        return (group * self.people_in_group + person) * pictures + picture

    def pictures_of(self, group: int, person: int) -> NDArray[np.int64]:
        """The numbers, in their row, of a person's pictures that are to be used."""
        full = 1 + 2 * np.flatnonzero(self.valid[group, person])
        return np.concatenate([[0], full, full + 1])


def _optional(table: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Those of the arrays that a .npz has."""
    with zipfile.ZipFile(table) as archive:
        there = [name for name in names if f"{name}.npy" in archive.namelist()]
    return dict(zip(there, read_npz(table, *there), strict=True))
