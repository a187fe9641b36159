"""Variants of the paper's equation: each makes an expression vector for every person and expression of a half.

A vector is added to the target's latents as it is, so it holds its strength too. Everybody's performer is the next
person of the same half, who stands in other light and before another camera.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from flowxfer.directions.copies import nudge
from flowxfer.evaluation.action_units import Floats
from flowxfer.evaluation.fidelity import Mask, changed_region
from flowxfer.evaluation.likeness import Embedder, distance
from flowxfer.images import Pixels
from flowxfer.images.heldout import HeldOut
from flowxfer.latents import Latents
from flowxfer.transferer import Transferer

__all__ = [
    "ASYMMETRIC",
    "Half",
    "Levels",
    "Method",
    "at_distance",
    "at_norm",
    "equation",
    "local",
    "mirrored_performer",
    "nudged_performer",
    "people",
    "strengths",
    "two_lights",
    "without_identities",
    "without_identity",
]

Levels: TypeAlias = list[Floats]
"""One array (P, E, C, H, W) per level: a vector for each of P people and E expressions."""

ASYMMETRIC = ("smirk", "wink")
"""Expressions of one side, which a mirror image contradicts."""

_NUDGES = ((0, 1), (1, 0), (0, -1), (-1, 0))
_ALPHAS = (0.5, 0.75, 1.0, 1.25)


@dataclass(frozen=True, eq=False)
class Half:
    """Half of the held-out people, with their latents.

    Args:
        flow: the model.
        people: who they are.
        elsewhere: the same people in another light, or None.
    """

    flow: Transferer
    people: HeldOut
    elsewhere: HeldOut | None = None

    @cached_property
    def neutral(self) -> Levels:
        """Latents of the neutral faces, (P, C, H, W) per level."""
        return [level.astype(np.float64) for level in self.flow.encode(self.people.neutral).levels]

    @cached_property
    def vectors(self) -> Levels:
        """Everybody's own expression vectors."""
        return self.vectors_of(self.people.neutral, self.people.truth)

    @cached_property
    def nudged_vectors(self) -> Levels:
        """The mean of those with those of the pictures moved by a pixel to each side."""
        neutral, truth = self.people.neutral, self.people.truth
        return _mean([self.vectors, *(self.vectors_of(nudge(neutral, *n), nudge(truth, *n)) for n in _NUDGES)])

    @cached_property
    def region(self) -> Mask:
        """Where each expression changes each face, (P, E, S, S)."""
        return changed_region(self.people.neutral[:, None], self.people.truth)

    def vectors_of(self, neutral: Pixels, expressions: Pixels) -> Levels:
        """Expression vectors of other pictures, (P, S, S, 3) and (P, E, S, S, 3)."""
        people, count = expressions.shape[:2]
        expressions = expressions.reshape(-1, *expressions.shape[2:])
        pairs = zip(self.flow.encode(neutral).levels, self.flow.encode(expressions).levels, strict=True)
        return [e.reshape(people, count, *e.shape[1:]) - n[:, None] for n, e in pairs]

    def transfer(self, vectors: Levels, alphas: Sequence[float] | None = None) -> Pixels:
        """Add the vectors to the neutral faces, times an alpha per level: uint8 (P, E, S, S, 3)."""
        alphas = [1.0] * len(vectors) if alphas is None else alphas
        moved = [n[:, None] + a * v for n, v, a in zip(self.neutral, vectors, alphas, strict=True)]
        flat = [level.reshape(-1, *level.shape[2:]) for level in moved]
        made = self.flow.decode(Latents(flat, self.flow.manifest.model_hash))
        return made.reshape(*moved[0].shape[:2], *made.shape[1:])


Method: TypeAlias = Callable[[Half], Levels]


def equation(half: Half) -> Levels:
    """``z_expression − z_neutral`` of one performer, the next person."""
    return _performed(half.vectors)


def people(count: int) -> Method:
    """The mean of the vectors of several people."""
    return lambda half: _mean([_performed(half.vectors, step) for step in range(1, count + 1)])


def nudged_performer(half: Half) -> Levels:
    """The mean over the performer's pictures moved by a pixel to each side."""
    return _performed(half.nudged_vectors)


def mirrored_performer(half: Half) -> Levels:
    """The mean with the mirrored performer's, for the symmetric expressions."""
    mirror = half.vectors_of(half.people.neutral[:, :, ::-1], half.people.truth[:, :, :, ::-1])
    symmetric = np.array([name not in ASYMMETRIC for name in half.people.names])[:, None, None, None]
    return _performed([np.where(symmetric, (v + m) / 2, v) for v, m in zip(half.vectors, mirror, strict=True)])


def nudged_people(count: int) -> Method:
    """The mean of several people, each of them moved by a pixel to each side."""
    return lambda half: _mean([_performed(half.nudged_vectors, step) for step in range(1, count + 1)])


def strengths(half: Half) -> Levels:
    """The performer in several strengths s: the least squares of ``v_s = s · v``, that is ``Σ s·v_s / Σ s²``."""
    pictures, known = half.people.expressions, half.people.strengths
    parts = [half.vectors_of(half.people.neutral, pictures[:, :, index]) for index in range(len(known))]
    return _performed(
        [np.tensordot(known, np.stack(level), 1) / (known**2).sum() for level in zip(*parts, strict=True)]
    )


def two_lights(half: Half) -> Levels:
    """The mean over two sittings of one performer, in two lights and before two cameras."""
    assert half.elsewhere is not None
    other = half.vectors_of(half.elsewhere.neutral, half.elsewhere.truth)
    return _performed(_mean([half.vectors, other]))


def without_identity(half: Half) -> Levels:
    """Without the part along the vector from the performer's neutral face to the target's."""
    away = [(n - np.roll(n, -1, 0))[:, None] for n in half.neutral]
    vectors = equation(half)
    scale = sum(_dot(v, a) for v, a in zip(vectors, away, strict=True)) / sum(_dot(a, a) for a in away)
    return [v - scale * a for v, a in zip(vectors, away, strict=True)]


def without_identities(others: Half, count: int) -> Method:
    """Without the part in the span of the first principal components of other people's neutral faces, per level."""

    def method(half: Half) -> Levels:
        result = []
        for level, neutral in zip(equation(half), others.neutral, strict=True):
            faces = neutral.reshape(len(neutral), -1)
            span = np.linalg.svd(faces - faces.mean(0), full_matrices=False)[2][:count]
            flat = level.reshape(-1, span.shape[1])
            result.append((flat - flat @ span.T @ span).reshape(level.shape))
        return result

    return method


def at_norm(others: Half) -> Method:
    """An alpha per picture and level that gives the vector the norm which that expression has in other people."""

    def method(half: Half) -> Levels:
        pairs = zip(equation(half), others.vectors, strict=True)
        return [v * (np.sqrt(_dot(o, o)).mean(0) / np.sqrt(_dot(v, v))) for v, o in pairs]

    return method


def at_distance(others: Half, embedder: Embedder) -> Method:
    """An alpha per picture that brings the face to a given distance of embeddings from the target.

    That distance is the mean over other people's transfers of the same expression with alpha 1.
    """

    def method(half: Half) -> Levels:
        wanted = np.nanmean(_distances(others, embedder, 1.0), 0)
        found = np.stack([_distances(half, embedder, alpha) for alpha in _ALPHAS])
        alphas = np.ones(found.shape[1:])
        for index in np.ndindex(*alphas.shape):
            curve = np.maximum.accumulate(found[(slice(None), *index)])  # np.interp needs it to ascend
            if not np.isnan(curve).any():
                alphas[index] = np.interp(wanted[index[1]], curve, _ALPHAS)
        return [v * alphas[..., None, None, None] for v in equation(half)]

    return method


def local(half: Half) -> Levels:
    """Only where the performer's picture changes, and within three pixels of it."""
    region, edges = np.roll(half.region, -1, 0), [(0, 0), (0, 0), (1, 1), (1, 1)]
    for _ in range(3):
        region = np.asarray(
            np.lib.stride_tricks.sliding_window_view(np.pad(region, edges), (3, 3), axis=(-2, -1)).any((-2, -1))
        )
    result = []
    for level in equation(half):
        side = level.shape[-1]
        blocks = region.reshape(*region.shape[:2], side, region.shape[-1] // side, side, -1)
        result.append(level * np.asarray(blocks.any((3, 5)))[:, :, None])
    return result


def _performed(vectors: Levels, step: int = 1) -> Levels:
    """Each person's performer: the next one, or the one ``step`` further."""
    return [np.roll(level, -step, 0) for level in vectors]


def _distances(half: Half, embedder: Embedder, alpha: float) -> Floats:
    """From the neutral faces to the transferred ones, (P, E)."""
    made = half.transfer(equation(half), [alpha] * len(half.neutral))
    embedded = embedder.embed(list(made.reshape(-1, *made.shape[2:]))).reshape(*made.shape[:2], -1)
    return distance(embedded, embedder.embed(list(half.people.neutral))[:, None])


def _mean(parts: Sequence[Levels]) -> Levels:
    return [sum(level) / len(parts) for level in zip(*parts, strict=True)]


def _dot(a: Floats, b: Floats) -> Floats:
    return np.asarray((a * b).sum((-3, -2, -1), keepdims=True))
