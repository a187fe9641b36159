"""Photographs whose faces are where we put them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from flowxfer.faces import EYES, Face, Similarity

DEMO = Path(__file__).parents[2] / "data" / "faces"
SIDE = 256  # of the demo faces


def demo_face(person: str = "id1", name: str = "neutral") -> Image.Image:
    return Image.open(DEMO / "truth" / person / f"{name}.png").convert("RGB")


def placed(x: float, y: float, width: float, turn_degrees: float = 0.0) -> Similarity:
    """The map from a demo face to a photograph where its centre is at (x, y)."""
    factor = width / SIDE * np.exp(1j * np.deg2rad(turn_degrees))
    return Similarity(complex(factor), complex(x, y) - complex(factor) * complex(SIDE, SIDE) / 2)


def true_eyes(place: Similarity) -> np.ndarray:
    return place(np.array(EYES) * SIDE)


def photograph(width: int, height: int, *faces: tuple[Image.Image, Similarity]) -> np.ndarray:
    """Paste demo faces on a plain wall, by Pillow alone, uint8 (height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    wall = np.stack([110 + 60 * x / width, 120 + 40 * y / height, 130 + 0 * x], axis=2)
    canvas = Image.fromarray(wall.astype(np.uint8))
    for face, place in faces:
        if place.scale < 1:
            face = face.filter(ImageFilter.GaussianBlur(0.45 * (1 / place.scale - 1)))
        a, b, shift = place.inverse.factor.real, place.inverse.factor.imag, place.inverse.shift
        coefficients = (a, -b, shift.real, b, a, shift.imag)
        warp = (canvas.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
        canvas.paste(face.transform(*warp), mask=Image.new("L", face.size, 255).transform(*warp))
    return np.array(canvas)


class Planted:
    """A detector that knows where the faces are."""

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)

    def detect(self, image: np.ndarray) -> list[Face]:
        return self.faces


def face_at(place: Similarity, score: float = 1.0) -> Face:
    """The face of a demo picture that was put there."""
    return Face((50.0, 70.0, 210.0, 235.0), np.array(EYES) * SIDE, score).moved(place)
