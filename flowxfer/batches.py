"""The batches that a GPU prepares for, and the shapes of a graph's inputs in them."""

from __future__ import annotations

from dataclasses import dataclass

from flowxfer.bundle import ENCODE, Manifest

Shapes = dict[str, tuple[int, ...]]

__all__ = ["Profile", "Shapes", "bucket", "buckets", "profile", "profiles", "shapes_text"]


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
