"""Batches: how large they are, that they fit the memory, and the shapes that a GPU prepares for."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from flowxfer.bundle import ENCODE, Manifest

Result = TypeVar("Result")
Shapes = dict[str, tuple[int, ...]]

log = logging.getLogger(__name__)

__all__ = [
    "DEFAULT_BATCH_SIZE",
    "Batched",
    "Profile",
    "Shapes",
    "bucket",
    "buckets",
    "cores",
    "profile",
    "profiles",
    "shapes_text",
]


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


DEFAULT_BATCH_SIZE = {"cpu": max(8, cores()), "cuda": 32}


class Batched:
    """Something that runs in batches; one that does not fit the memory is halved, for good.

    Args:
        batch_size: the largest batch to begin with.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self._lock = threading.Lock()

    def _batches(self, count: int, run: Callable[[slice], Result]) -> Iterator[Result]:
        start = 0
        while start < count:
            size = min(self.batch_size, count - start)
            try:
                result = run(slice(start, start + size))
            except Exception as error:  # ONNX Runtime's errors have no common base
                if size == 1 or not _out_of_memory(error):
                    raise
                with self._lock:
                    self.batch_size = min(self.batch_size, size // 2)
                log.warning("a batch of %d does not fit the memory; going on with %d", size, self.batch_size)
                continue
            start += size
            yield result


@dataclass(frozen=True)
class Profile:
    """Shapes by input that an engine serves: from ``smallest`` to ``largest``, best at ``best``."""

    smallest: Shapes
    best: Shapes
    largest: Shapes


def bucket(count: int, largest: int) -> int:
    """The batch that ``count`` samples are padded to: a power of two, or the largest batch."""
    return min(1 << (count - 1).bit_length(), max(largest, count))


def buckets(largest: int) -> tuple[int, ...]:
    """Every batch that :func:`bucket` gives: 1, 2, 4, … and the largest."""
    return tuple(sorted({bucket(count, largest) for count in range(1, largest + 1)}))


def profile(manifest: Manifest, graph: str, smallest: int, largest: int) -> Profile:
    """The shapes of a graph's inputs for batches of ``smallest`` to ``largest`` samples.

    Latents and directions may also be one for the whole batch.

    Args:
        manifest: the bundle's.
        graph: ``encode.onnx``, ``decode.onnx`` or ``sample.onnx``.
        smallest: samples.
        largest: samples; the engine is tuned for as many.
    """
    most = _shapes(manifest, graph, largest, rows=largest)
    return Profile(_shapes(manifest, graph, smallest, rows=1), most, most)


def profiles(manifest: Manifest, graph: str, largest: int) -> list[Profile]:
    """One profile for each bucket, which together serve every batch up to the largest."""
    sizes = buckets(largest)
    return [profile(manifest, graph, low + 1, high) for low, high in zip((0, *sizes), sizes, strict=False)]


def shapes_text(shapes: Shapes) -> str:
    """Shapes as ONNX Runtime and trtexec take them: ``image:8x64x64x3,…``."""
    return ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items())


def _shapes(manifest: Manifest, graph: str, batch: int, *, rows: int) -> Shapes:
    if graph == ENCODE:
        return {"image": (batch, manifest.image_size, manifest.image_size, 3)}
    names = [(kind, level) for kind in ("z", "direction") for level in range(len(manifest.latent_shapes))]
    latents: Shapes = {f"{kind}{level}": (rows, *manifest.latent_shapes[level]) for kind, level in names}
    return {**latents, "alpha": (batch, len(manifest.latent_shapes))}


def _out_of_memory(error: Exception) -> bool:
    signs = (
        "out of memory",
        "failed to allocate memory",  # ONNX Runtime
        "can't allocate memory",  # PyTorch on a CPU
        "bad_alloc",
        "bad allocation",
    )
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in signs)
