"""Reads an expression off two pictures of a performer, as strengths of facial actions, and writes it to latents.

A real performer's two pictures differ in light, hair, camera and background too, and the paper's expression vector,
``z_expression − z_neutral``, carries all of that to the target. A reader keeps what is expression: a linear map to the
strengths of a few facial actions, each of which has a direction of its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from flowxfer.bundle import Bundle, Manifest
from flowxfer.directions.attributes import Attributes, beside, load_named, save_named
from flowxfer.errors import InputError, LatentsError
from flowxfer.latents import Latents

__all__ = ["READER", "ExpressionReader"]

READER = "reader.safetensors"
"""The file of a bundle that has its reader."""

NAMES_KEY = "flowxfer.actions"

Floats = npt.NDArray[np.float64]


class ExpressionReader:
    """Strengths of facial actions from latents, and back to latents; linear both ways.

    Args:
        actions: K directions by the actions' names, what an action at strength 1 adds to a face.
        weights: latents of K: an action's strength is their inner product with ``z_expression − z_neutral``.

    Raises:
        InputError: there are not as many weights as actions, or none.
        LatentsError: they are two models'.
    """

    def __init__(self, actions: Attributes, weights: Latents) -> None:
        if len(actions) != len(weights) or not len(actions):
            raise InputError(f"expected weights for each of {len(actions)} actions, got {len(weights)}")
        weights.check(actions.model_hash, None)
        self.actions = actions
        self._weights, self._shapes = _rows(weights), [level.shape[1:] for level in weights.levels]
        self._directions = np.concatenate([_rows(actions[name]) for name in actions])

    @property
    def names(self) -> tuple[str, ...]:
        """The actions, in ARKit's words where they are known there."""
        return tuple(self.actions)

    def read(self, difference: Latents) -> Floats:
        """Strengths of the actions in N expression vectors, (N, K); 0 is none and 1 an action in full.

        Args:
            difference: ``z_expression − z_neutral``, latents of N.

        Raises:
            LatentsError: the latents are another model's.
        """
        difference.check(self.actions.model_hash, None)
        return np.asarray(_rows(difference) @ self._weights.T, np.float64)

    def write(self, strengths: npt.ArrayLike | Mapping[str, float]) -> Latents:
        """The direction of an expression: the actions' directions, each times its strength.

        Args:
            strengths: (N, K), or by name for one expression; an action that is not named is 0.

        Raises:
            InputError: a name is unknown, or the strengths are not (N, K) finite numbers.
        """
        if isinstance(strengths, Mapping):
            return self.actions.mixed(strengths)
        rows = np.atleast_2d(np.asarray(strengths, np.float64))
        if rows.ndim != 2 or rows.shape[1] != len(self.actions) or not np.isfinite(rows).all():
            raise InputError(f"expected finite strengths (N, {len(self.actions)}), got {rows.shape}")
        flat = rows.astype(self._directions.dtype) @ self._directions
        sizes = np.cumsum([np.prod(shape) for shape in self._shapes])[:-1]
        levels = [part.reshape(-1, *shape) for part, shape in zip(np.split(flat, sizes, 1), self._shapes, strict=True)]
        return Latents(levels, self.actions.model_hash)

    def __call__(self, difference: Latents) -> Latents:
        """What of N expression vectors is expression, as directions of N."""
        return self.write(self.read(difference))

    def __repr__(self) -> str:
        return f"<ExpressionReader of model {self.actions.model_hash[:12]}: {', '.join(self.names)}>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file, float16, whole or not at all: per level the K directions, then the K weights."""
        sizes = np.cumsum([np.prod(shape) for shape in self._shapes])[:-1]
        both = np.split(np.concatenate([self._directions, self._weights]), sizes, 1)
        levels = [part.reshape(-1, *shape).astype(np.float16) for part, shape in zip(both, self._shapes, strict=True)]
        save_named(Latents(levels, self.actions.model_hash), self.names, path, NAMES_KEY)

    @classmethod
    def load(cls, path: str | os.PathLike[str], manifest: Manifest) -> ExpressionReader:
        """Read what :meth:`save` wrote.

        Args:
            path: of the file.
            manifest: of the model that it has to be of.

        Raises:
            LatentsError: the file is missing, damaged, of another model, or no reader of flowxfer.
        """
        names, both = load_named(path, manifest, NAMES_KEY, kind="reader")
        halves = [
            Latents([z[part].astype(np.float32) for z in both.levels], both.model_hash)
            for part in (slice(len(names)), slice(len(names), None))
        ]
        try:
            return cls(Attributes(names, halves[0]), halves[1])
        except InputError as error:
            raise LatentsError(f"expected a reader that flowxfer saved in {path}: {error}; learn it again") from error

    @classmethod
    def of(cls, bundle: Bundle) -> ExpressionReader | None:
        """The reader that comes with a model, or None. As its attributes it is no part of what the model computes.

        Raises:
            BundleError: it is a link that leads out of the bundle.
            LatentsError: it is damaged or another model's.
        """
        path = beside(bundle, READER)
        return cls.load(path, bundle.manifest) if path else None


def _rows(latents: Latents) -> npt.NDArray[np.float32]:
    """(N, D): each sample's levels in one row."""
    rows: Sequence[npt.NDArray[np.float32]] = [z.reshape(len(z), -1).astype(np.float32) for z in latents.levels]
    return np.concatenate(rows, 1)
