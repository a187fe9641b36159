"""Where a picture is taken: camera, light and background."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import numpy as np

__all__ = ["Backdrop", "Background", "Camera", "Light"]


Vector = tuple[float, float, float]


class Camera(NamedTuple):
    """A portrait lens 14 dm away, framed so that the eyes fall on OpenAI's positions.

    Attributes:
        yaw: of the head, radians; a positive yaw turns it to the picture's right.
        pitch: of the head, radians.
        roll: of the head, radians.
        dx: shift of the head along x, in widths of the picture.
        dy: shift of the head along y, likewise.
        zoom: 1 puts the eyes .258 widths apart.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    dx: float = 0.0
    dy: float = 0.0
    zoom: float = 1.0

    @classmethod
    def sample(cls, rng: np.random.Generator, *, jitter: float = 1.0) -> Camera:
        """Draw a camera; ``jitter`` 0 gives the frontal one."""
        spread = np.array((0.08, 0.04, 0.015, 0.003, 0.003, 0.01)) * jitter
        yaw, pitch, roll, dx, dy, zoom = (float(x) for x in np.clip(rng.standard_normal(6), -2.5, 2.5) * spread)
        return cls(yaw, pitch, roll, dx, dy, 1.0 + zoom)


class Light(NamedTuple):
    """A key light with soft shadows, a fill light from the other side, and the sky.

    Attributes:
        key: unit vector to the key light; x to the picture's right, y up, z to the viewer.
        key_colour: linear RGB.
        fill_colour: linear RGB.
        sky: linear RGB.
        ground: linear RGB.
        fill: unit vector to the fill light.
    """

    key: Vector
    key_colour: Vector
    fill: Vector
    fill_colour: Vector
    sky: Vector
    ground: Vector

    @classmethod
    def sample(cls, rng: np.random.Generator, *, jitter: float = 1.0) -> Light:
        """Draw a light; ``jitter`` 0 gives a key light from the upper left."""
        azimuth = -0.35 + (rng.uniform(-0.6, 0.6) + 0.35) * jitter
        elevation = 0.5 + rng.uniform(-0.25, 0.25) * jitter
        warmth = rng.uniform(-1, 1) * jitter
        strength = 1.25 + rng.uniform(-0.22, 0.22) * jitter
        sky = 0.36 + rng.uniform(-0.08, 0.1) * jitter
        fill = 0.13 + rng.uniform(-0.08, 0.1) * jitter
        flat = math.cos(elevation)
        return cls(
            key=(math.sin(azimuth) * flat, math.sin(elevation), math.cos(azimuth) * flat),
            key_colour=(strength * (1 + 0.06 * warmth), strength, strength * (1 - 0.07 * warmth)),
            fill=(-math.copysign(0.852, azimuth), 0.150, 0.501),
            fill_colour=(fill * (1 - 0.05 * warmth), fill, fill * (1 + 0.06 * warmth)),
            sky=(0.98 * sky, sky, 1.03 * sky),
            ground=(0.62 * sky, 0.59 * sky, 0.55 * sky),
        )


class Backdrop(Protocol):
    """Whatever can fill a frame before the person is drawn."""

    def paint(self, height: int, width: int) -> np.ndarray:
        """Fill a frame: (height, width, 3) float64, linear RGB."""
        ...


class Background(NamedTuple):
    """A wall in two colours, blended across the picture, with a soft glow.

    Attributes:
        first: (3,) linear RGB.
        second: (3,) linear RGB.
        angle: direction of the blend, radians.
        glow: (x, y, radius, strength), in widths of the picture.
    """

    first: np.ndarray
    second: np.ndarray
    angle: float
    glow: tuple[float, float, float, float]

    @classmethod
    def sample(cls, rng: np.random.Generator, *, jitter: float = 1.0) -> Background:
        """Draw a background; ``jitter`` scales the contrast of its two colours."""
        grey = rng.uniform(0.06, 0.5)
        first = grey * (1 + rng.uniform(-0.35, 0.35, 3))
        second = first * np.exp(rng.normal(0, 0.25) * jitter) * (1 + 0.1 * jitter * rng.normal(0, 1, 3))
        glow = (rng.uniform(0.1, 0.9), rng.uniform(0.0, 0.6), rng.uniform(0.2, 0.5), rng.uniform(-0.2, 0.4) * jitter)
        return cls(np.clip(first, 0.02, 0.85), np.clip(second, 0.02, 0.85), float(rng.uniform(0, 2 * math.pi)), glow)

    def paint(self, height: int, width: int) -> np.ndarray:
        """Fill a frame: (height, width, 3) float64, linear RGB."""
        y, x = (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None, :] + 0.5) / width
        blend = 0.5 + 0.7 * ((x - 0.5) * math.cos(self.angle) + (y - 0.5) * math.sin(self.angle))
        blend = np.clip(blend, 0, 1)[..., None]
        gx, gy, radius, strength = self.glow
        glow = (1 / (1 + ((x - gx) ** 2 + (y - gy) ** 2) / radius**2) ** 2)[..., None]
        return np.clip((self.first * (1 - blend) + self.second * blend) * (1 + strength * glow), 0.0, 1.0)
