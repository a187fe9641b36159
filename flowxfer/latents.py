"""Latents: what a model makes of faces, one array per level, with plain arithmetic."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from flowxfer.errors import BundleError, InputError, LatentsError, reason, shortened
from flowxfer.files import replacing
from flowxfer.types import Alpha, Array, Chunk

LARGEST_ALPHA = 1000
"""Beyond any face: what is drawn there is noise, and far beyond numbers overflow."""

MODEL_KEY = "flowxfer.model"
NUMERICS_KEY = "flowxfer.numerics"

__all__ = ["Alpha", "Array", "Latents", "alpha_per_level", "check_finite"]


class Latents:
    """The latents of N faces.

    ``+``, ``-`` and multiplication by a number, or by one number per level, act on every level. Latents of different
    models do not mix, nor do those of different precisions, engines or devices: every pixel comes back only where the
    latents came from, so each carries the hash of its model and what computed it. Latents that a model has encoded stay
    on its device until ``levels`` is read.

    Args:
        levels: one array (N, C, H, W) per level, float32 or float64 as the model has them.
        model_hash: identity of the model, from its manifest.
        numerics: what computed them, as :attr:`flowxfer.Transferer.numerics` says it; None for latents from elsewhere,
            which every engine takes and for which none promises anything.

    Raises:
        LatentsError: the levels do not hold the same number of faces.

    Examples:
        >>> z = Latents([np.ones((2, 6, 4, 4)), np.zeros((2, 12, 2, 2))], "a model's hash")
        >>> z.mean() - 0.5 * z[0]
        <Latents of 1 faces: 6x4x4, 12x2x2; model a model's ha>
    """

    def __init__(self, levels: Sequence[Array], model_hash: str, numerics: str | None = None) -> None:
        arrays = tuple(np.asarray(level) for level in levels)
        if not arrays or any(z.ndim != 4 or len(z) != len(arrays[0]) for z in arrays):
            shapes = [z.shape for z in arrays]
            raise LatentsError(f"expected one (N, C, H, W) array per level with the same N, got shapes {shapes}")
        self._levels: tuple[Array, ...] | None = arrays
        self._chunks: Sequence[Chunk] | None = None
        self.model_hash = model_hash
        self.numerics = numerics

    @classmethod
    def on_device(cls, chunks: Sequence[Chunk], model_hash: str, numerics: str | None = None) -> Latents:
        """Latents that lie on a device, in batches."""
        latents = cls.__new__(cls)
        latents._levels, latents._chunks = None, chunks
        latents.model_hash, latents.numerics = model_hash, numerics
        return latents

    @property
    def levels(self) -> tuple[Array, ...]:
        """One array (N, C, H, W) per level; copied from the device at the first call."""
        if self._levels is None:
            assert self._chunks is not None
            parts = [chunk.levels() for chunk in self._chunks]
            self._levels = tuple(np.concatenate(level) for level in zip(*parts, strict=True))
        return self._levels

    def chunks(self, upload: Callable[[Sequence[Array]], Sequence[Chunk]]) -> Sequence[Chunk]:
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
        return Latents([z[index] for z in self.levels], self.model_hash, self.numerics)

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
        return Latents(scaled, self.model_hash, self.numerics)

    __rmul__ = __mul__

    def __neg__(self) -> Latents:
        return self * -1.0

    @property
    def digest(self) -> str:
        """SHA-256 of the numbers, level by level, in hexadecimal."""
        digest = hashlib.sha256()
        for level in self.levels:
            digest.update(np.ascontiguousarray(level).data)
        return digest.hexdigest()

    def mean(self) -> Latents:
        """The mean over the faces, as latents of one: the paper's expressionless mean face."""
        return Latents([z.mean(0, keepdims=True) for z in self.levels], self.model_hash, self.numerics)

    def _with(self, other: Latents, operation: Callable[[Array, Array], Array]) -> Latents:
        if not isinstance(other, Latents):
            return NotImplemented
        other.check(self.model_hash, self.numerics)
        if len(other) != len(self) and 1 not in (len(other), len(self)):
            raise LatentsError(f"expected as many faces on both sides, or one, got {len(self)} and {len(other)}")
        levels = [operation(a, b) for a, b in zip(self.levels, other.levels, strict=True)]
        return Latents(levels, self.model_hash, self.numerics or other.numerics)

    def check(self, model_hash: str, numerics: str | None) -> None:
        """Refuse latents of another model, or of the same one computed otherwise.

        Raises:
            LatentsError: these are not latents of the model with that hash, or something else computed them.
        """
        if self.model_hash != model_hash:
            raise LatentsError(
                f"expected latents of model {model_hash[:12]}, got latents of model {self.model_hash[:12]}; "
                "encode the pictures with the same model"
            )
        if None not in (numerics, self.numerics) and numerics != self.numerics:
            raise LatentsError(
                f"expected latents of {numerics}, got latents of {self.numerics}, which give every pixel back only"
                " there; encode the pictures again, or give up that promise: Latents(z.levels, z.model_hash)"
            )

    def save(self, path: str | os.PathLike[str], *, metadata: Mapping[str, str] | None = None) -> None:
        """Write a safetensors file, whole or not at all.

        Args:
            path: of the file.
            metadata: what it is to say beside the model and what computed them.
        """
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(self.to_bytes(metadata=metadata))  # not save_file(), whose errors hide ENOSPC

    def to_bytes(self, *, metadata: Mapping[str, str] | None = None) -> bytes:
        """The bytes of the file that :meth:`save` writes, the same ones each time."""
        arrays = {f"z{index}": np.ascontiguousarray(level) for index, level in enumerate(self.levels)}
        ours = {MODEL_KEY: self.model_hash} | ({NUMERICS_KEY: self.numerics} if self.numerics else {})
        return _ordered(save(arrays, {**(metadata or {}), **ours}))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Latents:
        """Read what :meth:`save` wrote.

        Raises:
            LatentsError: the file is missing, damaged, or holds no latents of flowxfer.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise LatentsError(
                f"expected a safetensors file at {path}, but it cannot be read: {reason(error)}"
            ) from error
        return cls.from_bytes(data, str(path))

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "these bytes") -> Latents:
        """Read what :meth:`to_bytes` made.

        Args:
            data: of a safetensors file.
            name: what to call it in an error.

        Raises:
            LatentsError: it is damaged, or holds no latents of flowxfer.
        """
        try:
            arrays = load(data)
            metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {}
        except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise LatentsError(
                f"expected a safetensors file in {name}, but it cannot be read: {reason(error)}"
            ) from error
        names = [f"z{index}" for index in range(len(arrays))]
        if MODEL_KEY not in metadata or sorted(arrays) != sorted(names) or not names:
            got = shortened(sorted(arrays))
            raise LatentsError(f"expected latents that flowxfer saved in {name}, got arrays {got}")
        return cls([arrays[each] for each in names], metadata[MODEL_KEY], metadata.get(NUMERICS_KEY))


def check_finite(levels: Iterable[Array]) -> None:
    """Refuse what a model made of faces if it is no latents.

    Raises:
        BundleError: a number is infinite, or none.
    """
    if not all(np.isfinite(level).all() for level in levels):
        raise BundleError(
            "expected finite latents of these faces, got others: the model's weights are damaged, or too wild for them;"
            " fetch it or export it again"
        )


def _ordered(data: bytes) -> bytes:
    """A safetensors file with the names in its header in their order, which is another each time as it is written."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # numbers begin at a multiple of eight
    return len(header).to_bytes(8, "little") + header + data[end:]


def alpha_per_level(alpha: Alpha, levels: int) -> Array:
    """``alpha`` as (1, 1) for all levels or (1, levels).

    Raises:
        InputError: it is neither one number nor one per level, or beyond :data:`LARGEST_ALPHA`.
    """
    try:
        values = np.atleast_1d(np.asarray(alpha, np.float64))
    except (TypeError, ValueError):
        values = np.empty((0, 0))
    if values.ndim != 1 or len(values) not in (1, levels) or not np.isfinite(values).all():
        raise InputError(f"expected alpha to be a finite number, or one for each of the {levels} levels, got {alpha!r}")
    if np.abs(values).max() > LARGEST_ALPHA:
        raise InputError(f"expected alpha from -{LARGEST_ALPHA} to {LARGEST_ALPHA}, got {alpha!r}; 1 transfers in full")
    return values[None]
