"""Attribute vectors from labelled pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from flowxfer.attributes.directions import Attributes
from flowxfer.attributes.labels import Labels
from flowxfer.errors import InputError
from flowxfer.images import Source
from flowxfer.latents import Latents

if TYPE_CHECKING:
    from flowxfer.transferer import Transferer

__all__ = ["learn"]


def learn(flow: Transferer, faces: Iterable[Source], labels: Labels) -> Attributes:
    """Learn attribute vectors by least squares, all of them together.

    A vector is what its attribute changes while all others stay as they are, from the lowest label to the highest: in
    the faces at hand bearded people are men and grey ones old, and the difference of means would mix these up. For a
    single attribute that is there or not, it is the difference of means, as Glow's paper and OpenAI's demo have it.

    Args:
        flow: the model.
        faces: of its size, one for each row of ``labels``, in that order; they are read a batch at a time.
        labels: of the faces.

    Raises:
        InputError: an attribute is the same in all faces, or follows from the others, so that nothing tells it from
            them; or there are not as many faces as labels.
    """
    known, done = _known(labels), 0
    sums = [np.zeros((known.shape[1], *shape)) for shape in flow.manifest.latent_shapes]
    iterator = iter(faces)
    while batch := list(itertools.islice(iterator, flow.batch_size)):
        z = flow.encode(batch)
        weights = known[done : done + len(z)]
        done += len(z)
        if done > len(known):
            break
        for total, level in zip(sums, z.levels, strict=True):
            total += np.tensordot(weights, level, (0, 0))
    if done != len(known):
        more = "more" if done > len(known) else done
        raise InputError(f"expected {len(known)} faces, one for each row of labels, got {more}")
    inverse = np.linalg.inv(known.T @ known)
    solved = [np.tensordot(inverse, total, 1)[:-1].astype(np.float32) for total in sums]
    return Attributes(labels.attributes, Latents(solved, flow.manifest.model_hash))


def _known(labels: Labels) -> npt.NDArray[np.float64]:
    """Labels from 0, the lowest, to 1, the highest, and a column of ones."""
    low, high = labels.values.min(0), labels.values.max(0)
    if same := [name for name, a, b in zip(labels.attributes, low, high, strict=True) if a == b]:
        more = f" and {len(same) - 1} more" * (len(same) > 1)
        raise InputError(f"expected faces with and without every attribute, got no such for {same[0][:60]!r}{more}")
    known = np.column_stack([(labels.values - low) / (high - low), np.ones(len(labels.values))])
    if np.linalg.matrix_rank(known) < known.shape[1]:
        raise InputError(
            f"expected labels that tell {len(labels.attributes)} attributes apart, got some that follow from others;"
            " leave one out, or add pictures in which they differ"
        )
    return known
