"""Performances whose expression is known: what a reader of expressions learns from (``flowxfer reader learn``).

A performer's own two pictures differ in more than the expression: so do these. Rendered people are photographed
a second time in another camera, light and background; photographs that perform get tones and a place in the frame
of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowxfer import images
from flowxfer.errors import InputError
from flowxfer.files import replacing
from flowxfer.images import Pixels
from flowxfer.synth.album import Album
from flowxfer.synth.animation import animate
from flowxfer.synth.dataset import TRAINING_START, Progress, Shoot
from flowxfer.synth.expressions import ACTIONS, sample_training
from flowxfer.synth.landmark_rig import Portrait

__all__ = ["write_performances"]

Performance = tuple[Pixels, Pixels, NDArray[np.float64]]

_ELSEWHERE = 500_000  # from a person's seed to that of the place of their second picture
_WORK_PX = 256  # photographs are animated at this size at least


def write_performances(
    path: Path,
    *,
    people: int,
    album: Album | None = None,
    photographs: int = 0,
    size: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Write an ``.npz`` of performances.

    It has ``neutral`` and ``performing``, uint8 (N, size, size, 3), ``strengths`` (N, 52) and ``names``, ARKit's.

    Args:
        path: of the file.
        people: how many rendered people perform, once each.
        album: photographs that perform too.
        photographs: how many of their performances.
        size: pixels of a side, a multiple of 8.
        seed: of the set; another one gives other people and expressions.
        progress: is told of every performance.

    Raises:
        InputError: a path that does not end in ``.npz``, nothing to write, or photographs of which no album was given.
    """
    total = people + photographs
    if path.suffix != ".npz" or min(people, photographs) < 0 or not total or (photographs and album is None):
        raise InputError(
            f"expected a .npz and at least one performance, got {path.name!r}, {people} people and {photographs} "
            "performances of photographs"
        )
    rng, start = np.random.default_rng((seed, 5)), time.perf_counter()
    first = TRAINING_START * (1 + seed)
    rows: list[Performance] = []
    for performance in _rendered(first, people, size, rng):
        rows.append(performance)
        if progress:
            progress(len(rows), total, len(rows) / (time.perf_counter() - start))
    if album is not None and photographs:
        for performance in _photographed(album, first + people, photographs, size, rng):
            rows.append(performance)
            if progress:
                progress(len(rows), total, len(rows) / (time.perf_counter() - start))
    neutral, performing, strengths = (np.stack(column) for column in zip(*rows, strict=True))
    with replacing(path) as temporary:
        np.savez_compressed(
            temporary,
            allow_pickle=False,
            neutral=neutral,
            performing=performing,
            strengths=strengths.astype(np.float32),
            names=np.array(ACTIONS),
        )
    return path


def _rendered(first: int, count: int, size: int, rng: np.random.Generator) -> Iterator[Performance]:
    for number in range(first, first + count):
        vector, here, there = _expression(rng), Shoot.sample(number), Shoot.sample(number + _ELSEWHERE)
        yield here.picture(size=size), there._replace(sitter=here.sitter).picture(vector, size=size), vector


def _photographed(album: Album, first: int, count: int, size: int, rng: np.random.Generator) -> Iterator[Performance]:
    """Performances that pass; an album of which none of a hundred in a row does is given up."""
    found = failed = 0
    while found < count:
        vector, number = _expression(rng), int(rng.integers(len(album.paths)))
        portrait = album.portrait(number, max(size, _WORK_PX))
        donor = Portrait.rendered(Shoot.sample(first + found + failed), vector, size=size)
        performing = animate(portrait, vector, donor)
        if performing is None:
            failed += 1
            if failed > 100 * (found + 1):
                raise InputError("expected photographs that can perform, got none in a hundred; look at a --sheet")
            continue
        found += 1
        neutral, performing = (_taken(picture, size, rng) for picture in (portrait.picture, performing))
        yield neutral, performing, vector


def _expression(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.clip(rng.uniform(0.4, 1.0) * sample_training(rng), 0.0, 1.05)


def _taken(picture: Pixels, size: int, rng: np.random.Generator) -> Pixels:
    """The picture as another exposure: a pixel off, turned and larger by a little, in other tones."""
    side = len(picture)
    shift, scale, angle = rng.normal(0, 0.007 * side, 2), 1 + rng.normal(0, 0.008), rng.normal(0, 0.008)
    cosine, sine, middle = np.cos(angle) / scale, np.sin(angle) / scale, (side - 1) / 2
    across = (cosine, -sine, middle - cosine * middle + sine * middle + shift[0])
    down = (sine, cosine, middle - sine * middle - cosine * middle + shift[1])
    moved = Image.fromarray(picture).transform(
        (side, side), Image.Transform.AFFINE, across + down, Image.Resampling.BICUBIC
    )
    small = images.load(np.asarray(moved), size).astype(np.float64) / 255
    bright = np.clip(small, 1e-4, 1) ** np.exp(0.5 * rng.uniform(-0.5, 0.5)) * (1 + 0.3 * rng.uniform(-0.5, 0.5, 3))
    grey = bright.mean(-1, keepdims=True)
    toned = grey + (1 + 0.5 * rng.uniform(-0.5, 0.5)) * (bright - grey)
    return np.asarray((255 * np.clip(toned, 0, 1)).round(), np.uint8)
