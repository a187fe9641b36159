"""What a performer is without expression, whichever way the head is turned.

A model of aligned faces stores a turn of the head as it stores an expression: were one mean face taken from each frame,
the turn would go onto the target as shadows and tints. So what a turn does to the latents is learnt from the film, by
least squares, ``z ≈ mean(z) + slope · (turn − mean(turn))``, and taken away with the mean.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowxfer.errors import InputError
from flowxfer.faces import Tracker
from flowxfer.images import Pixels
from flowxfer.latents import Latents
from flowxfer.transferer import Transferer
from flowxfer.video.io.source import Source
from flowxfer.video.pipeline import Progress

__all__ = ["Neutral", "learned"]

# Widths of the crop by which the nose's landmark wavers while a still head goes through expressions: .002 to .003 for
# the demo people. A turn by 14 degrees moves it by .03.
_WAVER = 0.003


@dataclass(frozen=True, eq=False)
class Neutral:
    """The performer's latents without expression, ``latents + slope · (turn − at)``.

    Attributes:
        latents: of one face.
        slope: what a turn by one width of the crop adds to them, of one face; None where nobody knows.
        at: the turn that ``latents`` are of.
    """

    latents: Latents
    slope: Latents | None = None
    at: float = 0.0

    def unturned(self, performers: Latents, turns: Sequence[float]) -> Latents:
        """Take away from latents of N faces what their turns, N, have added to those of :attr:`latents`."""
        if self.slope is None:
            return performers
        beyond = np.asarray(turns)[:, None, None, None] - self.at
        levels = [
            z - (beyond * step).astype(z.dtype) for z, step in zip(performers.levels, self.slope.levels, strict=True)
        ]
        return Latents(levels, performers.model_hash, performers.numerics)


def learned(
    source: Source,
    tracker: Tracker,
    transferer: Transferer,
    frames: int,
    progress: Callable[[Progress], None] | None = None,
) -> Neutral:
    """Learn a performer's neutral from the first faces of a film.

    Args:
        source: the film.
        tracker: a fresh one.
        transferer: the model.
        frames: how many faces are looked at.
        progress: is told after each frame; what it raises ends the study.

    Raises:
        InputError: the film never shows a face.
    """
    sums = _Sums()
    faces = itertools.islice(_faces(source, tracker, frames, progress), frames)
    while batch := list(itertools.islice(faces, transferer.batch_size)):
        sums.add(transferer.encode(np.stack([crop for crop, _ in batch])), np.array([turn for _, turn in batch]))
    return sums.fit()


def _faces(
    source: Source, tracker: Tracker, wanted: int, progress: Callable[[Progress], None] | None
) -> Iterator[tuple[Pixels, float]]:
    began, most = time.perf_counter(), wanted
    for done, frame in enumerate(source.frames(), 1):
        face = tracker.follow(frame, float(frame.time))
        most += face is None
        if progress:
            total = most if source.count is None else min(most, source.count)
            progress(Progress.since(began, done, total, study=True))
        if face is not None:
            yield face.crop, tracker.turn(frame, face)


class _Sums:
    """All that least squares needs of the faces that were seen, however many."""

    def __init__(self) -> None:
        self._count, self._turns, self._squares = 0, 0.0, 0.0
        self._latents: list[NDArray[np.float64]] = []
        self._products: list[NDArray[np.float64]] = []
        self._like: Latents | None = None

    def add(self, latents: Latents, turns: NDArray[np.float64]) -> None:
        levels = [np.asarray(z, np.float64) for z in latents.levels]
        if self._like is None:
            self._like = latents
            self._latents, self._products = ([np.zeros(z.shape[1:]) for z in levels] for _ in range(2))
        self._count += len(turns)
        self._turns += float(turns.sum())
        self._squares += float((turns**2).sum())
        for z, total, product in zip(levels, self._latents, self._products, strict=True):
            total += z.sum(0)
            product += np.tensordot(turns, z, 1)

    def fit(self) -> Neutral:
        """Divide the covariance of latents and turns by the variance of the turns, to which the waver is added."""
        if self._like is None:
            raise InputError("expected a face in the driver, found none; it may be too small or turned away")
        n, mean = self._count, self._turns / self._count
        spread = self._squares / n - mean**2 + _WAVER**2
        slope = [(p / n - mean * z / n) / spread for z, p in zip(self._latents, self._products, strict=True)]
        return Neutral(self._made([z / n for z in self._latents]), self._made(slope), mean)

    def _made(self, levels: list[NDArray[np.float64]]) -> Latents:
        assert self._like is not None
        pairs = zip(levels, self._like.levels, strict=True)
        return Latents([level[None].astype(z.dtype) for level, z in pairs], self._like.model_hash, self._like.numerics)
