"""Latents: what a model makes of faces, one array per level, with plain arithmetic."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from flowxfer.errors import InputError, LatentsError
from flowxfer.files import replacing

if TYPE_CHECKING:
    from flowxfer.session import Chunk

Array = npt.NDArray[np.floating[Any]]
Alpha = float | Sequence[float]

MODEL_KEY = "flowxfer.model"

__all__ = ["Alpha", "Array", "Latents"]


class Latents:
    """The latents of N faces.

    ``+``, ``-`` and multiplication by a number, or by one number per level, act on every level. Two models' latents do
    not mix: each carries the hash of its model. Latents that a model has encoded stay on its device until ``levels`` is
    read.

    Args:
        levels: one array (N, C, H, W) per level, float32 or float64 as the model has them.
        model_hash: identity of the model, from its manifest.

    Raises:
        LatentsError: the levels do not hold the same number of faces.
    """

    def __init__(self, levels: Sequence[Array], model_hash: str) -> None:
        arrays = tuple(np.asarray(level) for level in levels)
        if not arrays or any(z.ndim != 4 or len(z) != len(arrays[0]) for z in arrays):
            shapes = [z.shape for z in arrays]
            raise LatentsError(f"expected one (N, C, H, W) array per level with the same N, got shapes {shapes}")
        self._levels: tuple[Array, ...] | None = arrays
        self._chunks: list[Chunk] | None = None
        self.model_hash = model_hash

    @classmethod
    def on_device(cls, chunks: list[Chunk], model_hash: str) -> Latents:
        """Latents that lie on a device, in batches."""
        latents = cls.__new__(cls)
        latents._levels, latents._chunks, latents.model_hash = None, chunks, model_hash
        return latents

    @property
    def levels(self) -> tuple[Array, ...]:
        """One array (N, C, H, W) per level; copied from the device at the first call."""
        if self._levels is None:
            assert self._chunks is not None
            parts = [chunk.levels() for chunk in self._chunks]
            self._levels = tuple(np.concatenate(level) for level in zip(*parts, strict=True))
        return self._levels

    def chunks(self, upload: Callable[[Sequence[Array]], list[Chunk]]) -> list[Chunk]:
        """The latents on the device; ``upload`` brings them there if they are not."""
        return self._chunks if self._chunks is not None else upload(self.levels)

    def __len__(self) -> int:
        return len(self._levels[0]) if self._levels is not None else sum(chunk.count for chunk in self._chunks or [])

    def __getitem__(self, index: int | slice) -> Latents:
        """Some of the faces; a single index keeps the batch dimension, as a batch of one."""
        if isinstance(index, int):
            if not -len(self) <= index < len(self):
                raise IndexError(f"expected an index of {len(self)} faces, got {index}")
            index = slice(index, index + 1 or None)
        return Latents([z[index] for z in self.levels], self.model_hash)

    def __repr__(self) -> str:
        shapes = ", ".join("x".join(map(str, z.shape[1:])) for z in self.levels)
        return f"<Latents of {len(self)} faces: {shapes}; model {self.model_hash[:12]}>"

    def __add__(self, other: Latents) -> Latents:
        return self._with(other, np.add)

    def __sub__(self, other: Latents) -> Latents:
        return self._with(other, np.subtract)

    def __mul__(self, factor: Alpha) -> Latents:
        factors = np.broadcast_to(np.asarray(factor, np.float64), len(self.levels))
        scaled = [(z * z.dtype.type(f)) for z, f in zip(self.levels, factors, strict=True)]
        return Latents(scaled, self.model_hash)

    __rmul__ = __mul__

    def __neg__(self) -> Latents:
        return self * -1.0

    def mean(self) -> Latents:
        """The mean over the faces, as latents of one: the paper's expressionless mean face."""
        return Latents([z.mean(0, keepdims=True) for z in self.levels], self.model_hash)

    def _with(self, other: Latents, operation: Callable[[Array, Array], Array]) -> Latents:
        if not isinstance(other, Latents):
            return NotImplemented
        other.check_model(self.model_hash)
        if len(other) != len(self) and 1 not in (len(other), len(self)):
            raise LatentsError(f"expected as many faces on both sides, or one, got {len(self)} and {len(other)}")
        return Latents([operation(a, b) for a, b in zip(self.levels, other.levels, strict=True)], self.model_hash)

    def check_model(self, model_hash: str) -> None:
        """Refuse latents of another model.

        Raises:
            LatentsError: these are not latents of the model with that hash.
        """
        if self.model_hash != model_hash:
            raise LatentsError(
                f"expected latents of model {model_hash[:12]}, got latents of model {self.model_hash[:12]}; "
                "encode the pictures with the same model"
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file, whole or not at all."""
        arrays = {f"z{index}": np.ascontiguousarray(level) for index, level in enumerate(self.levels)}
        with replacing(Path(path)) as temporary:
            save_file(arrays, temporary, metadata={MODEL_KEY: self.model_hash})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Latents:
        """Read what :meth:`save` wrote.

        Raises:
            LatentsError: the file is missing, damaged, or holds no latents of flowxfer.
        """
        try:
            with safe_open(path, framework="np") as file:
                model_hash = (file.metadata() or {}).get(MODEL_KEY)
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, TypeError) as error:
            raise LatentsError(f"expected a safetensors file at {path}, but it cannot be read: {error}") from error
        names = [f"z{index}" for index in range(len(arrays))]
        if model_hash is None or sorted(arrays) != sorted(names) or not names:
            raise LatentsError(f"expected latents that flowxfer saved in {path}, got arrays {sorted(arrays)}")
        return cls([arrays[name] for name in names], model_hash)


def alpha_per_level(alpha: Alpha, levels: int) -> Array:
    """``alpha`` as (1, 1) for all levels or (1, levels).

    Raises:
        InputError: it is neither one finite number nor one per level.
    """
    try:
        values = np.atleast_1d(np.asarray(alpha, np.float64))
    except (TypeError, ValueError):
        values = np.empty((0, 0))
    if values.ndim != 1 or len(values) not in (1, levels) or not np.isfinite(values).all():
        raise InputError(f"expected alpha to be a finite number, or one for each of the {levels} levels, got {alpha!r}")
    return values[None]
