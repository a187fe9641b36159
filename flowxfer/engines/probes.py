"""Pictures that try a round trip: what an invertible model must give back, pleasant or not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from flowxfer.types import Images

Picture = npt.NDArray[np.float64]

__all__ = ["PROBES", "probe", "probes"]


def _photograph(rng: np.random.Generator, size: int) -> Picture:
    """Random fields with the amplitude spectrum of natural images, about 1/f, correlated in colour."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    frequency[0, 0] = 1 / size
    noise = rng.standard_normal((4, size, size))
    fields = np.fft.ifft2(np.fft.fft2(noise) / frequency**1.2).real
    fields /= fields.std((1, 2), keepdims=True)
    picture: Picture = 127.5 + 50 * np.moveaxis(fields[:3] * 0.4 + fields[3], 0, -1)
    return picture


def _noise(rng: np.random.Generator, size: int) -> Picture:
    return rng.integers(0, 256, (size, size, 3)).astype(np.float64)


def _constant(rng: np.random.Generator, size: int) -> Picture:
    return np.broadcast_to(rng.integers(0, 256, 3).astype(np.float64), (size, size, 3))


def _extremes(rng: np.random.Generator, size: int) -> Picture:
    return rng.choice([0.0, 255.0], (size, size, 3))


def _gradient(rng: np.random.Generator, size: int) -> Picture:
    y, x = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    angle = rng.uniform(0, 2 * np.pi, 3)
    slope = np.multiply.outer(x - 0.5, np.cos(angle)) + np.multiply.outer(y - 0.5, np.sin(angle))
    picture: Picture = 127.5 + 127.5 * slope
    return picture


PROBES: dict[str, Callable[[np.random.Generator, int], Picture]] = {
    "photograph": _photograph,
    "noise": _noise,
    "constant": _constant,
    "extremes": _extremes,
    "gradient": _gradient,
}


def probe(kind: str, size: int, seed: int) -> Images:
    """One picture (size, size, 3) of a kind of :data:`PROBES`, the same for the same seed."""
    return np.clip(PROBES[kind](np.random.default_rng(seed), size), 0, 255).astype(np.uint8)


def probes(size: int, *, seed: int = 0) -> Images:
    """One picture of each kind, (kinds, size, size, 3)."""
    return np.stack([probe(kind, size, seed) for kind in PROBES])
