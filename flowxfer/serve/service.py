"""What the service computes: the library's calls, in batches that requests share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np

from flowxfer.directions import Attributes
from flowxfer.errors import InputError
from flowxfer.images import Pixels
from flowxfer.latents import Latents, alpha_per_level
from flowxfer.serve.batching import Batcher
from flowxfer.transferer import Transferer
from flowxfer.types import Alpha

__all__ = ["Faces", "Service"]

Faces = Pixels | Latents


class Service:
    """A model that many requests share; each result is the one that :class:`Transferer` gives.

    Args:
        flow: the model; batches have its size.
        attributes: the vectors that faces are moved along; by default those that come with the model.
    """

    def __init__(self, flow: Transferer, attributes: Attributes | None = None) -> None:
        self.flow, self.attributes = flow, flow.attributes if attributes is None else attributes
        self._batcher = Batcher(flow.batch_size)

    def close(self) -> None:
        """Finish what was begun and end the worker."""
        self._batcher.close()

    async def encode(self, *groups: Faces) -> list[Latents]:
        """Map each group of faces to latents, all in one batch; groups that are latents already stay as they are."""
        pictures = [group for group in groups if not isinstance(group, Latents)]
        encoded: list[Latents] = []
        if pictures:
            faces = np.concatenate(pictures)
            latents = await asyncio.wrap_future(self._batcher.submit(self._encode, faces, len(faces)))
            encoded = _split(latents, [len(group) for group in pictures])
        rest = iter(encoded)
        return [group if isinstance(group, Latents) else next(rest) for group in groups]

    async def decode(self, latents: Latents) -> Pixels:
        """Map latents to faces, uint8 (N, S, S, 3)."""
        return await asyncio.wrap_future(self._batcher.submit(self._decode, latents, len(latents)))

    async def mean(self, faces: Faces) -> Latents:
        """:meth:`Transferer.mean`."""
        (latents,) = await self.encode(faces)
        return await asyncio.to_thread(self.flow.mean, latents)

    async def transfer(self, target: Faces, expression: Faces, neutral: Faces, alpha: Alpha) -> Pixels:
        """:meth:`Transferer.transfer`."""
        z, performed, neutrals = await self.encode(target, expression, neutral)
        strength = self._strength(alpha)
        if len(performed) not in (1, len(z)):
            raise InputError(f"expected one expression, or one for each of {len(z)} targets, got {len(performed)}")
        direction = await asyncio.to_thread(self.flow.direction, performed, neutrals)
        return await self._move(z, direction, [strength] * len(z))

    async def manipulate(self, faces: Faces, strengths: Mapping[str, float]) -> Pixels:
        """:meth:`Transferer.manipulate` along several attributes' vectors."""
        direction = await asyncio.to_thread(self.attributes.mixed, strengths)
        (z,) = await self.encode(faces)
        return await self._move(z, direction, [self._strength(1.0)] * len(z))

    async def sweep(self, target: Faces, expression: Faces, neutral: Faces, alphas: Sequence[Alpha]) -> Pixels:
        """:meth:`Transferer.sweep`."""
        z, performed, neutrals = await self.encode(target, expression, neutral)
        if len(z) != 1 or len(performed) != 1:
            raise InputError(f"expected one target and one expression, got {len(z)} and {len(performed)}")
        direction = await asyncio.to_thread(self.flow.direction, performed, neutrals)
        return await self._move(z, direction, [self._strength(alpha) for alpha in alphas])

    async def mix(self, first: Faces, second: Faces, alpha: Alpha) -> Pixels:
        """:meth:`Transferer.mix` of two faces."""
        a, b = await self.encode(first, second)
        if len(a) != 1 or len(b) != 1:
            raise InputError(f"expected one first and one second face, got {len(a)} and {len(b)}")
        direction = await asyncio.to_thread(self.flow.direction, b, a)
        return await self._move(a, direction, [self._strength(alpha)])

    async def sample(self, n: int, temperature: float, seed: int | None) -> Pixels:
        """:meth:`Transferer.sample`."""
        return await asyncio.wrap_future(self._batcher.submit(self._sample, (n, temperature, seed), n))

    def _strength(self, alpha: Alpha) -> list[float]:
        levels = len(self.flow.manifest.latent_shapes)
        return [float(value) for value in np.broadcast_to(alpha_per_level(alpha, levels)[0], levels)]

    async def _move(self, z: Latents, direction: Latents, alphas: Sequence[Sequence[float]]) -> Pixels:
        return await self.decode(await asyncio.to_thread(self._moved, z, direction, alphas))

    def _moved(self, z: Latents, direction: Latents, alphas: Sequence[Sequence[float]]) -> Latents:
        """``z + alpha · direction``, a row for each alpha, in the very arithmetic of the decode graph."""
        strengths = np.asarray(alphas, self.flow.manifest.latents_dtype)
        levels = [
            a + strengths[:, level, None, None, None] * b
            for level, (a, b) in enumerate(zip(z.levels, direction.levels, strict=True))
        ]
        return Latents(levels, z.model_hash)

    def _encode(self, jobs: Sequence[Pixels]) -> list[Latents]:
        return _split(self.flow.encode(np.concatenate(jobs)), [len(job) for job in jobs])

    def _decode(self, jobs: Sequence[Latents]) -> list[Pixels]:
        levels = [np.concatenate(level) for level in zip(*(job.levels for job in jobs), strict=True)]
        faces = self.flow.decode(Latents(levels, jobs[0].model_hash))
        return np.split(faces, np.cumsum([len(job) for job in jobs])[:-1])

    def _sample(self, jobs: Sequence[tuple[int, float, int | None]]) -> list[Pixels]:
        return [self.flow.sample(n, temperature=temperature, seed=seed) for n, temperature, seed in jobs]


def _split(latents: Latents, counts: Sequence[int]) -> list[Latents]:
    ends = np.cumsum(counts)
    return [latents[int(end) - count : int(end)] for end, count in zip(ends, counts, strict=True)]
