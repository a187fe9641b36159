"""Attribute vectors from labelled pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from flowxfer.bundle import Manifest
from flowxfer.directions.attributes import Attributes
from flowxfer.directions.labels import Labels
from flowxfer.errors import InputError
from flowxfer.images import Source, Sources
from flowxfer.latents import Latents

__all__ = ["Encoder", "learn"]


class Encoder(Protocol):
    """What maps faces to latents, such as :class:`flowxfer.Transferer`."""

    @property
    def manifest(self) -> Manifest:
        """Of the model."""

    @property
    def batch_size(self) -> int:
        """Faces at a time."""

    def encode(self, faces: Sources) -> Latents:
        """Map aligned faces to latents."""


def learn(flow: Encoder, faces: Iterable[Source], labels: Labels) -> Attributes:
    """Learn attribute vectors by least squares, all of them together.

    A vector is what its attribute changes while all others stay as they are, from the lowest label to the highest: in
    the faces at hand bearded people are men and grey ones old, and the difference of means would mix these up. For a
    single attribute that is there or not, it is the difference of means, as Glow's paper has it.

    Args:
        flow: the model.
        faces: of its size, one for each row of ``labels``, in that order; they are read a batch at a time.
        labels: of the faces.

    Raises:
        InputError: an attribute is the same in all faces, or follows from the others, so that nothing tells it from
            them; or there are not as many faces as labels.
    """
    projector = np.linalg.pinv(_known(labels))
    expected, done = projector.shape[1], 0
    vectors = [np.zeros((len(projector), *shape)) for shape in flow.manifest.latent_shapes]
    iterator = iter(faces)
    while batch := list(itertools.islice(iterator, flow.batch_size)):
        z = flow.encode(batch)
        weights = projector[:, done : done + len(z)]
        done += len(z)
        if done > expected:
            break
        for vector, level in zip(vectors, z.levels, strict=True):
            vector += np.tensordot(weights, level, 1)
    if done != expected:
        got = "more" if done > expected else done
        raise InputError(f"expected {expected} faces, one for each row of labels, got {got}")
    solved = [vector[:-1].astype(np.float32) for vector in vectors]
    return Attributes(labels.attributes, Latents(solved, flow.manifest.model_hash))


def _known(labels: Labels) -> npt.NDArray[np.float64]:
    """Labels from 0, the lowest, to 1, the highest, and a column of ones."""
    low, high = labels.values.min(0), labels.values.max(0)
    if same := [name for name, a, b in zip(labels.attributes, low, high, strict=True) if a == b]:
        more = f" and {len(same) - 1} more" * (len(same) > 1)
        raise InputError(
            f"expected faces with and without every attribute, got no such for {same[0][:60]!r}{more}; leave it out of"
            " the list, or add pictures"
        )
    known = np.column_stack([(labels.values - low) / (high - low), np.ones(len(labels.values))])
    if np.linalg.matrix_rank(known) < known.shape[1]:
        raise InputError(
            f"expected labels that tell {len(labels.attributes)} attributes apart, got some that follow from others;"
            " leave one out, or add pictures in which they differ"
        )
    return known
