"""Training pictures: a folder of faces, or shards of people who share expressions.

What a batch holds depends on the random generator that it is given and on the files, and on nothing else: a run that is
resumed sees the pictures that it would have seen.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowxfer.errors import ImageError, InputError, ShapeError, reason
from flowxfer.images import SUFFIXES, load, pictures_among
from flowxfer.images.arrays import read_npy, read_npz

Pixels = NDArray[np.uint8]

__all__ = ["Faces", "Pairs", "Pixels", "Transfers"]


@dataclass(frozen=True)
class Transfers:
    """What transfers start from and should arrive at; rows 2k and 2k + 1 are two people who donate to each other.

    Args:
        neutral: the people, uint8 (N, S, S, 3).
        expression: the same people with the expression in full.
        target: the same people with the expression at ``strength``.
        strength: alpha, float32 (N,).
    """

    neutral: Pixels
    expression: Pixels
    target: Pixels
    strength: NDArray[np.float32]


def _mirrored(pixels: Pixels, mirror: NDArray[np.bool_]) -> Pixels:
    """Turn those of the pictures (N, S, S, 3) that ``mirror`` (N,) marks from right to left."""
    return np.where(mirror[:, None, None, None], pixels[:, :, ::-1], pixels)


class Faces:
    """The pictures in a folder and its subfolders.

    Raises:
        InputError: there is no picture in the folder.
    """

    def __init__(self, folder: str, image_size: int) -> None:
        self.image_size = image_size
        self.paths = sorted(pictures_among(Path(folder).rglob("*"), below=Path(folder)))
        if not self.paths:
            raise InputError(f"expected pictures ({', '.join(SUFFIXES)}) in {folder}, got none")

    def batch(self, count: int, rng: np.random.Generator, *, flips: bool) -> Pixels:
        """Random pictures, (count, S, S, 3).

        Raises:
            ImageError: a picture cannot be read, or is not of the model's size; the message names it.
        """
        pictures = np.stack([self._read(self.paths[i]) for i in rng.integers(0, len(self.paths), count)])
        return _mirrored(pictures, (rng.random(count) < 0.5) & flips)

    def _read(self, path: Path) -> Pixels:
        picture = load(path)
        if picture.shape[:2] != (self.image_size, self.image_size):
            height, width = picture.shape[:2]
            expected = f"{self.image_size}x{self.image_size}"
            raise ImageError(f"expected faces of {expected} pixels, got {width}x{height} in {path}; align() crops them")
        return picture


class Pairs:
    """Shards of groups whose people share expressions.

    A shard is a .npy of uint8 (G, I, 1 + 2E, S, S, 3): G groups of I people; picture 0 is the neutral face, pictures
    2e + 1 and 2e + 2 are expression e in full and at the strength ``strengths[g, e]``, a float array of the .npz of the
    same name.

    Args:
        pattern: with wildcards; :meth:`refresh` looks for new files.
        image_size: S.

    Raises:
        InputError: no file fits the pattern.
        ShapeError: a shard has another shape or dtype; the message names it.
    """

    def __init__(self, pattern: str, image_size: int) -> None:
        self.pattern = pattern
        self.image_size = image_size
        self.shards: dict[str, tuple[Pixels, NDArray[np.float32]]] = {}
        self.refresh()
        if not self.shards:
            raise InputError(f"expected shards, each with its .npz, that fit {pattern}, got none")

    def refresh(self) -> None:
        """Open the shards that have appeared since the last look."""
        for name in sorted(set(glob.glob(self.pattern)) - set(self.shards)):
            if Path(name).with_suffix(".npz").exists():  # it is written last
                self.shards[name] = self._open(name)

    def _open(self, name: str) -> tuple[Pixels, NDArray[np.float32]]:
        try:
            pictures = read_npy(name)
            strengths = read_npz(Path(name).with_suffix(".npz"), "strengths")[0].astype(np.float32)
        except (OSError, ValueError) as error:
            raise InputError(f"expected a paired shard and its .npz at {name}: {reason(error)}") from error
        shape = pictures.shape
        expected = (*strengths.shape[:1], *shape[1:2], 1 + 2 * strengths.shape[-1], self.image_size, self.image_size, 3)
        if pictures.dtype != np.uint8 or shape != expected or shape[1] < 2:
            raise ShapeError(f"expected uint8 pictures {expected} in {name}, got {pictures.dtype} {shape}")
        return pictures, strengths

    def _draw(self, rng: np.random.Generator) -> tuple[Pixels, NDArray[np.float32]]:
        """One group: pictures (I, 1 + 2E, S, S, 3) and strengths (E,)."""
        names = sorted(self.shards)
        sizes = np.cumsum([len(self.shards[name][0]) for name in names])
        group = int(rng.integers(0, sizes[-1]))
        shard = int(np.searchsorted(sizes, group, side="right"))
        pictures, strengths = self.shards[names[shard]]
        return pictures[group - sizes[shard]], strengths[group - sizes[shard]]

    def batch(self, count: int, rng: np.random.Generator, *, flips: bool) -> Pixels:
        """Random pictures of all kinds, (count, S, S, 3)."""
        pictures = []
        for _ in range(count):
            people = self._draw(rng)[0]
            pictures.append(people[rng.integers(0, people.shape[0]), rng.integers(0, people.shape[1])])
        return _mirrored(np.stack(pictures), (rng.random(count) < 0.5) & flips)

    def transfers(self, count: int, rng: np.random.Generator, *, flips: bool) -> Transfers:
        """``count`` random transfers, an even number; half of them in full and half at the scaled strength."""
        rows: dict[str, list[Any]] = {"neutral": [], "expression": [], "target": [], "strength": []}
        for _ in range(count // 2):
            people, strengths = self._draw(rng)
            expression = int(rng.integers(0, len(strengths)))
            scaled = bool(rng.random() < 0.5)
            for person in rng.permutation(len(people))[:2]:
                rows["neutral"].append(people[person, 0])
                rows["expression"].append(people[person, 1 + 2 * expression])
                rows["target"].append(people[person, 1 + 2 * expression + scaled])
                rows["strength"].append(strengths[expression] if scaled else 1.0)
        mirror = np.repeat((rng.random(count // 2) < 0.5) & flips, 2)
        pictures = {name: _mirrored(np.stack(rows[name]), mirror) for name in ("neutral", "expression", "target")}
        return Transfers(**pictures, strength=np.array(rows["strength"], np.float32))
