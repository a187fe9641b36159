"""Copies of a performer's pictures, whose mean has an expression vector with less of the performer in it.

One expression of one performer carries their skin, light and place in the picture into every target. What differs
between copies averages out, the expression stays::

    flow.transfer(target, flow.mean(nudged(smile)), nudged(neutral))

The mean over several people does the same, and more: ``flow.transfer(target, flow.mean(smiles), neutrals)``, where both
have the same people. What each is worth stands in ``docs/how-to/evaluation.md``.
"""

from __future__ import annotations

import numpy as np

from flowxfer.errors import ShapeError
from flowxfer.images import Pixels

__all__ = ["mirrored", "nudge", "nudged"]

_STEPS = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))


def nudged(faces: Pixels) -> Pixels:
    """Every face, then all of them moved by a pixel to the right, down, left and up: (N, S, S, 3) to (5N, S, S, 3).

    Raises:
        ShapeError: the faces are no uint8 array (S, S, 3) or (N, S, S, 3).
    """
    faces = _faces(faces)
    return np.concatenate([nudge(faces, *step) for step in _STEPS])


def mirrored(faces: Pixels) -> Pixels:
    """Every face, then their mirror images: (N, S, S, 3) to (2N, S, S, 3). For symmetric expressions only.

    Raises:
        ShapeError: the faces are no uint8 array (S, S, 3) or (N, S, S, 3).
    """
    faces = _faces(faces)
    return np.concatenate([faces, faces[:, :, ::-1]])


def nudge(pictures: Pixels, down: int, right: int) -> Pixels:
    """Pictures (…, S, S, 3) moved by whole pixels; the edge is repeated."""
    size = pictures.shape[-2]
    rows, columns = ((np.arange(size) - step).clip(0, size - 1) for step in (down, right))
    return pictures[..., rows[:, None], columns, :]


def _faces(faces: Pixels) -> Pixels:
    array = np.asarray(faces)
    if (
        array.dtype != np.uint8
        or array.ndim not in (3, 4)
        or array.shape[-3] != array.shape[-2]
        or array.shape[-1] != 3
    ):
        raise ShapeError(
            f"expected uint8 faces of shape (S, S, 3) or (N, S, S, 3), got {array.dtype} {array.shape}; "
            "flowxfer.images.load_faces() reads them from files"
        )
    return array.reshape(-1, *array.shape[-3:])
