"""What a detector is, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from flowxfer.faces.resampling import corners
from flowxfer.faces.similarity import Points, Similarity
from flowxfer.images import Pixels

__all__ = ["EYES", "Box", "Detector", "Face", "any_way_up", "crop_transform", "largest_first", "openai_eyes"]

EYES = ((0.371, 0.480), (0.629, 0.480))
"""Where OpenAI's alignment of CelebA-HQ puts the eyes: the picture's left one first, in widths of the crop."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; it may reach beyond the picture."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face in a picture.

    Attributes:
        box: the rectangle about it, as its detector draws it.
        eyes: the centres of the two eyes, shape (2, 2), x and y in pixels, by OpenAI's convention; first the one that
            is on the left when the face is upright.
        score: how sure the detector is; higher is surer, and only scores of one detector compare.
    """

    box: Box
    eyes: Points
    score: float

    @property
    def area(self) -> float:
        """Of the box, in pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)

    def moved(self, transform: Similarity) -> Face:
        """Tell where the face is after the picture went through a similarity; the box stays upright and grows."""
        left, top, right, bottom = self.box
        outline = transform(np.array([left, top]) + corners(right - left, bottom - top))
        (left, top), (right, bottom) = outline.min(0), outline.max(0)
        return replace(self, box=(left, top, right, bottom), eyes=transform(self.eyes))


class Detector(Protocol):
    """Finds faces: any object with this method will do."""

    def detect(self, image: Pixels) -> list[Face]:
        """Find the faces in a picture, the largest first; none is an empty list.

        Args:
            image: RGB, shape (H, W, 3), uint8.
        """
        ...


def crop_transform(eyes: Points, size: int) -> Similarity:
    """Find the similarity that takes two eyes to their places in a crop.

    Args:
        eyes: shape (2, 2), x and y in the picture's pixels, the left one of the upright face first.
        size: of the crop, in pixels.

    Raises:
        InputError: the eyes are in the same place.
    """
    return Similarity.between(eyes, np.array(EYES) * size)


def openai_eyes(seen: Points, habit: Sequence[Sequence[float]]) -> Points:
    """Tell where the eyes are by OpenAI's convention, from where a detector sees them.

    Args:
        seen: the detector's eye centres, shape (2, 2), in pixels.
        habit: where that detector sees the eyes of faces that OpenAI aligned, shape (2, 2), in widths of the crop.
    """
    return Similarity.between(habit, seen)(EYES)


def largest_first(faces: list[Face]) -> list[Face]:
    """Sort faces by the area of their boxes."""
    return sorted(faces, key=lambda face: -face.area)


def any_way_up(detector: Detector, image: Pixels) -> list[Face]:
    """Find faces in a picture that may lie on its side or on its head.

    All four quarter turns are tried, and the one whose best face scores highest is the picture's.

    Args:
        detector: what finds upright faces.
        image: RGB, shape (H, W, 3), uint8.
    """
    found = (_turned(detector, image, turns) for turns in range(4))
    return max(found, key=lambda faces: max((face.score for face in faces), default=-np.inf))


def _turned(detector: Detector, image: Pixels, turns: int) -> list[Face]:
    turned = np.ascontiguousarray(np.rot90(image, turns))
    middle, new_middle = (complex(pixels.shape[1], pixels.shape[0]) / 2 for pixels in (image, turned))
    # rot90 turns anticlockwise; with y down that is a factor of -i, and the way back is i.
    back = Similarity(1j**turns, middle - 1j**turns * new_middle)
    return [face.moved(back) for face in detector.detect(turned)]
