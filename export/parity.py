"""Holds exported graphs to the PyTorch model that they came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from flowxfer.bundle import DECODE, ENCODE, Bundle, LatentKind, Manifest
from flowxfer.engines.ort.providers import CPU, runtime
from flowxfer.engines.probes import probe
from flowxfer.errors import ParityError
from flowxfer.glow.model import Glow
from flowxfer.glow.pixels import from_pixels, to_pixels
from flowxfer.types import Images

Latents = list[npt.NDArray[np.floating]]
Reference = Callable[[Images], tuple[Latents, Images]]

# Largest differences that an export may show. Latents: of their root mean square; pixels: grey levels, where a
# difference of 1 can be a rounding across the edge of a bin. Weights stored in float16 are another model by that much.
BOUNDS = {
    "float32": {"latents_error": 2e-3, "pixels_error": 1.0, "mean_pixels_error": 0.02},
    "float16": {"latents_error": 0.5, "pixels_error": 32.0, "mean_pixels_error": 0.25},
}

EDIT = -0.1  # strength of the edit that is compared, along the latents themselves: a step towards the mean face

__all__ = ["BOUNDS", "check", "measure", "measure_against"]


def measure(model: Glow, folder: Path, manifest: Manifest) -> dict[str, float]:
    """:func:`compare` a bundle's graphs with PyTorch."""
    return compare(lambda images: _torch(model, images, manifest.latents), folder, manifest)


def measure_against(bundle: Bundle, folder: Path, manifest: Manifest) -> dict[str, float]:
    """:func:`compare` a bundle's graphs with those of the bundle that they were made from."""
    return compare(_Graphs(bundle.path).edit, folder, manifest)


def compare(reference: Reference, folder: Path, manifest: Manifest) -> dict[str, float]:
    """Compare both graphs with a reference on a picture like a photograph, and try its round trip and that of noise.

    Args:
        reference: gives the latents of images, and the images of those latents when :data:`EDIT` has been applied.
        folder: with the graphs.
        manifest: the bundle's to be.

    Returns:
        ``latents_error``: largest difference of a level's latents, in units of its root mean square;
        ``pixels_error`` and ``mean_pixels_error``: difference in grey levels of an edited picture;
        ``round_trip_wrong``: share of pixels that do not come back from a round trip through the graphs, and
        ``round_trip_error``, by how many grey levels at most.
    """
    graphs = _Graphs(folder)
    images = np.stack([probe(kind, manifest.image_size, seed=0) for kind in ("photograph", "noise")])
    latents = graphs.encode(images)
    restored = graphs.decode(latents, [np.zeros_like(z) for z in latents])
    latents, edited = graphs.edit(images[:1])
    expected_latents, expected_pixels = reference(images[:1])
    difference = np.abs(edited.astype(int) - expected_pixels.astype(int))
    return {
        "latents_error": max(
            float(np.abs(a - b).max() / np.sqrt(np.mean(b**2))) for a, b in zip(latents, expected_latents, strict=True)
        ),
        "pixels_error": float(difference.max()),
        "mean_pixels_error": float(difference.mean()),
        "round_trip_wrong": float((restored != images).mean()),
        "round_trip_error": float(np.abs(restored.astype(int) - images).max()),
    }


def check(parity: dict[str, float], storage: str) -> None:
    """Hold figures of :func:`measure` to :data:`BOUNDS`.

    Raises:
        ParityError: a figure is beyond its bound.
    """
    for name, bound in BOUNDS[storage].items():
        if not parity[name] <= bound:  # a NaN is beyond every bound
            raise ParityError(
                f"expected graphs that compute what the model does, {name} of at most {bound}, got {parity[name]:.3g}; "
                "weights this wild have no dependable float32 result"
            )


class _Graphs:
    """Both graphs in ONNX Runtime, on the CPU."""

    def __init__(self, folder: Path) -> None:
        self._encode, self._decode = (
            runtime().InferenceSession(folder / name, providers=[CPU]) for name in (ENCODE, DECODE)
        )

    def encode(self, images: Images) -> Latents:
        latents: Latents = self._encode.run(None, {"image": images, "bin_width": np.array(1, np.float32)})
        return latents

    def edit(self, images: Images) -> tuple[Latents, Images]:
        latents = self.encode(images)
        return latents, self.decode(latents, latents, alpha=EDIT)

    def decode(self, z: Latents, direction: Latents, alpha: float = 0.0) -> Images:
        feed = {f"z{i}": level for i, level in enumerate(z)}
        feed |= {f"direction{i}": level for i, level in enumerate(direction)}
        feed |= {"alpha": np.full((len(z[0]), len(z)), alpha, z[0].dtype), "bin_width": np.array(1, np.float32)}
        images: Images = self._decode.run(None, feed)[0]
        return images


@torch.no_grad()
def _torch(model: Glow, images: Images, kind: LatentKind) -> tuple[Latents, Images]:
    latents = model.encode(from_pixels(torch.from_numpy(images)), kind)
    edited = model.decode([z + EDIT * z for z in latents], kind)
    return [z.numpy() for z in latents], to_pixels(edited).numpy()
