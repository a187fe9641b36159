"""A reader of expressions from performances whose expression is known."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from flowxfer.directions.attributes import Attributes
from flowxfer.directions.learning import Encoder
from flowxfer.directions.reader import ExpressionReader
from flowxfer.errors import InputError
from flowxfer.images import Source
from flowxfer.latents import Latents

__all__ = ["RIDGE", "learn_reader"]

RIDGE = 0.03
"""Share of the mean energy of an expression vector. From .003 to .1 it hardly matters on photographs of real people."""

Floats = npt.NDArray[np.float64]


def learn_reader(
    flow: Encoder,
    performances: Iterable[tuple[Source, Source]],
    strengths: npt.ArrayLike,
    names: Sequence[str],
    *,
    actions: Attributes | None = None,
    ridge: float = RIDGE,
) -> ExpressionReader:
    """Learn to read expressions, by ridge regression from expression vectors to strengths.

    What is no expression is told from it by seeing it without: the two pictures of a performance should differ in
    light, tones, camera and background as people's own do.

    Args:
        flow: the model.
        performances: N pairs of faces of its size, neutral and with an expression; they are read a batch at a time.
        strengths: (N, K), those of the expressions' actions.
        names: of the K actions.
        actions: what each adds to a face; None learns that too, by least squares from the same pairs.
        ridge: how strongly weights are held down.

    Raises:
        InputError: there are not as many pairs as strengths, an action is never performed, or ``actions`` lack one.
    """
    known = np.asarray(strengths, np.float64)
    if known.ndim != 2 or known.shape[1] != len(names) or not np.isfinite(known).all():
        raise InputError(f"expected finite strengths of {len(names)} actions, got {known.shape}")
    if idle := [name for name, column in zip(names, known.T, strict=True) if not column.any()]:
        raise InputError(f"expected performances of every action, got none of {idle[0]}; leave it out")
    if actions is not None and (missing := [name for name in names if name not in actions]):
        raise InputError(f"expected directions of every action, got none of {missing[0]}")
    vectors = _differences(flow, performances, len(known))
    gram = vectors @ vectors.T
    held = gram + ridge * np.trace(gram) / len(gram) * np.eye(len(gram), dtype=gram.dtype)
    weights = vectors.T @ np.linalg.solve(held, known.astype(vectors.dtype))
    if actions is None:
        found = np.linalg.lstsq(known.astype(vectors.dtype), vectors, rcond=None)[0]
        actions = Attributes(names, _latents(found, flow))
    return ExpressionReader(actions.only(names), _latents(weights.T, flow))


def _differences(flow: Encoder, performances: Iterable[tuple[Source, Source]], count: int) -> npt.NDArray[np.float32]:
    """Expression vectors, (N, D)."""
    rows, iterator = [], iter(performances)
    while batch := list(itertools.islice(iterator, flow.batch_size)):
        neutral, performing = (flow.encode(list(faces)).levels for faces in zip(*batch, strict=True))
        rows.append(np.concatenate([(b - a).reshape(len(a), -1) for a, b in zip(neutral, performing, strict=True)], 1))
    if (got := sum(map(len, rows))) != count or not got:
        raise InputError(f"expected a pair of faces for each of {count} rows of strengths, got {got}")
    return np.concatenate(rows).astype(np.float32)


def _latents(rows: npt.NDArray[np.float32], flow: Encoder) -> Latents:
    shapes = flow.manifest.latent_shapes
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    parts = np.split(rows.astype(np.float32), ends, axis=1)
    levels = [np.ascontiguousarray(part).reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]
    return Latents(levels, flow.manifest.model_hash)
