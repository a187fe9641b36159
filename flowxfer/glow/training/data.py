"""Training pictures: a folder of faces, or shards of people who share expressions.

What a batch holds depends on the random generator that it is given and on the files, and on nothing else: a run that is
resumed sees the pictures that it would have seen.
"""

from __future__ import annotations

import bisect
import glob
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowxfer.directions.arkit import mirrored
from flowxfer.errors import FlowxferError, ImageError, InputError
from flowxfer.glow.training.shards import Shard
from flowxfer.glow.training.stores import MappedStore, Pixels, Store
from flowxfer.glow.training.tones import sample_tones
from flowxfer.images import SUFFIXES, load, pictures_among

__all__ = ["Faces", "Pairs", "Transfers"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Transfers:
    """What transfers start from and should arrive at; rows 2k and 2k + 1 are two people who donate to each other.

    Args:
        neutral: the people, uint8 (N, S, S, 3).
        expression: the same people with the expression in full.
        target: the same people with the expression at ``strength``.
        strength: alpha, float32 (N,).
        actions: weights of the ARKit actions that make the expression, float32 (N, 52); of a mirrored picture mirrored.
        tones: that a person's pictures are given, float32 (N, 5) (:mod:`flowxfer.glow.training.tones`).
        photographs: whether the picture is one, bool (N,).
    """

    neutral: Tensor
    expression: Tensor
    target: Tensor
    strength: NDArray[np.float32]
    actions: NDArray[np.float32]
    tones: NDArray[np.float32]
    photographs: NDArray[np.bool_]


def _mirrored(pictures: Tensor, mirror: NDArray[np.bool_]) -> Tensor:
    """Turn those of the pictures (N, S, S, 3) that ``mirror`` (N,) marks from right to left."""
    marked = torch.from_numpy(mirror).to(pictures.device)
    return torch.where(marked[:, None, None, None], pictures.flip(2), pictures)


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

    def batch(self, count: int, rng: np.random.Generator, *, flips: bool) -> Tensor:
        """Random pictures, uint8 (count, S, S, 3).

        Raises:
            ImageError: a picture cannot be read, or is not of the model's size; the message names it.
        """
        pictures = np.stack([self._read(self.paths[i]) for i in rng.integers(0, len(self.paths), count)])
        return _mirrored(torch.from_numpy(pictures), (rng.random(count) < 0.5) & flips)

    def _read(self, path: Path) -> Pixels:
        picture = load(path)
        if picture.shape[:2] != (self.image_size, self.image_size):
            height, width = picture.shape[:2]
            expected = f"{self.image_size}x{self.image_size}"
            raise ImageError(f"expected faces of {expected} pixels, got {width}x{height} in {path}; align() crops them")
        return picture


class Pairs:
    """Groups of people who share expressions, out of :class:`~flowxfer.glow.training.shards.Shard` files.

    Args:
        pattern: with wildcards; :meth:`refresh` looks for new files.
        image_size: S.
        store: where the pictures are to lie; by default in their files.

    Raises:
        InputError: no file fits the pattern, or a shard is damaged.
        ShapeError: a shard has another shape or dtype; the message names it.
    """

    def __init__(self, pattern: str, image_size: int, store: Store | None = None) -> None:
        self.pattern = pattern
        self.image_size = image_size
        self.store: Store = MappedStore(image_size) if store is None else store
        self.shards: dict[str, Shard] = {}
        self._order: list[Shard] = []
        self._first = [0]  # the number in the store of each shard's first picture, and of the next one's
        self._shown = [0]  # likewise of what two people of a group show
        self._refused: set[str] = set()
        for name in self._new():
            self._add(name)
        if not self.shards:
            raise InputError(f"expected shards, each with its .npz, that fit {pattern}, got none")

    def refresh(self) -> None:
        """Take the shards that have appeared since the last look; a damaged one is reported and left out."""
        for name in self._new():
            try:
                self._add(name)
            except FlowxferError as error:
                self._refused.add(name)
                log.warning("left out: %s", error)

    def _new(self) -> list[str]:
        names = set(glob.glob(self.pattern)) - self.shards.keys() - self._refused
        return sorted(name for name in names if Path(name).with_suffix(".npz").exists())  # it is written last

    def _add(self, name: str) -> None:
        shard = Shard.read(name, self.image_size)
        if self.store.has_room(shard.count):
            self.store.add(shard.flat)
            self.shards[name] = shard
            self._order.append(shard)
            self._first.append(self._first[-1] + shard.count)
            self._shown.append(self._shown[-1] + len(shard.shown))

    def _draw(self, rng: np.random.Generator) -> tuple[Shard, int, int, int]:
        """A shard, the number of its first picture, and a group and an expression that two people of it show."""
        draw = int(rng.integers(0, self._shown[-1]))
        index = bisect.bisect_right(self._shown, draw) - 1
        shard = self._order[index]
        group, expression = shard.shown[draw - self._shown[index]]
        return shard, self._first[index], int(group), int(expression)

    def batch(self, count: int, rng: np.random.Generator, *, flips: bool) -> Tensor:
        """Random pictures of all kinds, uint8 (count, S, S, 3)."""
        numbers = []
        for _ in range(count):
            shard, first, group, _ = self._draw(rng)
            person = int(rng.integers(0, shard.people_in_group))
            numbers.append(first + shard.number(group, person, int(rng.choice(shard.pictures_of(group, person)))))
        return _mirrored(self.store[np.array(numbers)], (rng.random(count) < 0.5) & flips)

    def transfers(self, count: int, rng: np.random.Generator, *, flips: bool, tones: float = 0.0) -> Transfers:
        """``count`` random transfers, an even number; half of them in full and half at the scaled strength.

        Args:
            count: N.
            rng: what the choice depends on.
            flips: whether neighbours may be mirrored, both.
            tones: share of the people whose tones vary.
        """
        numbers, strength, actions, photographs = [], [], [], []
        for _ in range(count // 2):
            shard, first, group, expression = self._draw(rng)
            scaled = bool(rng.random() < 0.5)
            for person in rng.permutation(np.flatnonzero(shard.valid[group, :, expression]))[:2]:
                full = 1 + 2 * expression
                numbers.append([first + shard.number(group, person, picture) for picture in (0, full, full + scaled)])
                strength.append(shard.strengths[group, expression] if scaled else 1.0)
                actions.append(shard.expressions[group, expression])
                photographs.append(person >= shard.people)
        mirror = np.repeat((rng.random(count // 2) < 0.5) & flips, 2)
        weights = np.array(actions)
        neutral, expressive, target = (_mirrored(self.store[column], mirror) for column in np.array(numbers).T)
        return Transfers(
            neutral,
            expressive,
            target,
            strength=np.array(strength, np.float32),
            actions=np.where(mirror[:, None], mirrored(weights), weights),
            tones=sample_tones(rng, count, tones),
            photographs=np.array(photographs),
        )
