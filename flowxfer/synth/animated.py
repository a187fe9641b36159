"""Sets of photographs that perform, beside rendered people who perform the same: what transfers are learned from.

A shard is laid out as `dataset.write_training` lays it out, with photographs after the people of each group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flowxfer import images
from flowxfer.errors import InputError
from flowxfer.images import Pixels
from flowxfer.synth.album import Album
from flowxfer.synth.animation import animate
from flowxfer.synth.dataset import (
    TRAINING_START,
    Progress,
    Shoot,
    levels,
    plan_group,
    stacked,
    write_pictures,
    write_shards,
    write_truth,
)
from flowxfer.synth.expressions import NAMED, expression
from flowxfer.synth.landmark_rig import Portrait

__all__ = ["animated_sheet", "write_animated"]

Points = NDArray[np.float64]

_WORK_PX = 256  # photographs are animated at this size at least, and made smaller then, as a camera's picture would be


def write_animated(
    path: Path,
    album: Album,
    *,
    groups: int | None = None,
    people: int = 4,
    photographs: int = 6,
    expressions: int = 6,
    size: int = 128,
    seed: int = 0,
    shard: int = 50,
    progress: Progress | None = None,
) -> list[Path]:
    """Write groups of rendered people and animated photographs; shards that exist already are kept.

    In a group all show the same expressions at the same strengths. Where a photograph would not pass with one, it stays
    as it is, and ``valid`` is False.

    Args:
        path: a ``.npy``; shape (groups, people + photographs, 1 + 2 expressions, size, size, 3), uint8, people first.
            The ``.npz`` beside it has ``strengths`` (g, e), ``expressions`` (g, e, 52), ``seeds`` (g, people),
            ``valid`` (g, people + photographs, e), how many ``people`` are rendered, and the photographs' names,
            ``pictures`` (g, photographs).
        album: the photographs.
        groups: how many; by default as many as show every photograph once.
        people: rendered, in a group; their mouths are what photographs' mouths show when they open.
        photographs: in a group.
        expressions: that a group shares.
        size: pixels of a side, a multiple of 8.
        seed: of the set; another one gives other people, expressions and another order of photographs.
        shard: groups per file.
        progress: is told of every person and photograph.

    Returns:
        The shards.

    Raises:
        InputError: a path that does not end in ``.npy``, nothing to write, or a size that cannot be rendered.
    """
    groups = -(-len(album.paths) // max(photographs, 1)) if groups is None else groups
    if path.suffix != ".npy" or min(groups, people, photographs, expressions, shard) < 1:
        raise InputError(f"expected a .npy and at least one group, got {path.name!r} and {groups} groups of {people} "
                         f"people and {photographs} photographs with {expressions} expressions")  # fmt: skip

    def write(file: Path, numbers: range) -> None:
        plans = [plan_group(seed, g, people, expressions) for g in numbers]
        drawn = album.drawn(seed, numbers[0] * photographs, len(plans) * photographs).reshape(-1, photographs)
        valid = np.ones((len(plans), people + photographs, expressions), np.bool_)

        def pictures() -> Iterator[Pixels]:
            for plan, portraits, passes in zip(plans, drawn, valid[:, people:], strict=True):
                vectors = levels(plan)
                donors = [_rendered(int(number), vectors, size) for number in plan["seeds"]]
                yield from (portrait.picture for donor in donors for portrait in donor)
                for i, number in enumerate(portraits):
                    portrait = album.portrait(number, max(size, _WORK_PX))
                    shown = _animated(portrait, vectors, donors[i % people])
                    passes[i] = [
                        pair[0] is not None and pair[1] is not None
                        for pair in zip(shown[1::2], shown[2::2], strict=True)
                    ]
                    yield from (images.load(portrait.picture if p is None else p, size) for p in shown)

        write_pictures(file, (*valid.shape[:2], 1 + 2 * expressions, size, size, 3), pictures(), progress)
        names = np.array([[album.paths[number].name for number in row] for row in drawn])
        write_truth(file, stacked(plans), {"valid": valid, "people": np.array(people), "pictures": names})

    return write_shards(path, groups, shard, write)


def animated_sheet(
    album: Album, *, count: int = 12, names: Sequence[str] = tuple(NAMED), size: int = 256, seed: int = 0
) -> Pixels:
    """Lay out portraits and what becomes of them, to be looked at before anything learns from them.

    Args:
        album: the photographs.
        count: how many of them at most.
        names: of expressions.
        size: pixels of a picture.
        seed: another one shows other photographs.

    Returns:
        The portraits down, as they are and with each expression across: shape (N size, (1 + names) size, 3), uint8;
        white where it would not pass for a photograph.

    Raises:
        InputError: an expression has no such name.
    """
    vectors = [expression(name) for name in names]
    donors = _rendered(TRAINING_START, vectors, size)
    rows = []
    for number in album.drawn(seed, 0, min(count, len(album.paths))):
        portrait = album.portrait(number, size)
        shown = [portrait.picture, *_animated(portrait, vectors, donors)]
        rows.append(np.concatenate([np.full_like(portrait.picture, 255) if p is None else p for p in shown], axis=1))
    return np.concatenate(rows)


def _rendered(seed: int, vectors: Sequence[Points], size: int) -> list[Portrait]:
    shoot = Shoot.sample(seed)
    return [Portrait.rendered(shoot, vector, size=size) for vector in vectors]


def _animated(portrait: Portrait, vectors: Sequence[Points], donors: Sequence[Portrait]) -> list[Pixels | None]:
    return [animate(portrait, vector, donor) for vector, donor in zip(vectors, donors, strict=True)]
