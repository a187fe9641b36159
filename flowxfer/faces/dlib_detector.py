"""Faces by dlib: gradients find them, a cascade of regression trees finds the eyes. Works offline, on a CPU."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from flowxfer.errors import InputError
from flowxfer.faces.detector import EYES, Face, crop_transform, largest_first, openai_eyes
from flowxfer.faces.dlib_models import dlib_model, import_dlib
from flowxfer.faces.resampling import resample
from flowxfer.faces.similarity import Points, Similarity
from flowxfer.images import Pixels

__all__ = ["DlibDetector", "Landmarks"]

Landmarks = Literal[5, 68]

# Where each predictor sees the eyes of faces that OpenAI's convention aligned. Photographs (the paper's, in OpenAI's
# own alignment) and flowxfer's demo people differ by up to 2.5 px of 256, so this is the mirrored mean of both:
# 5: (.3772, .4863), (.6283, .4862) and (.3673, .4891), (.6305, .4875); 68: (.3727, .4815), (.6306, .4817) and
# (.365, .489), (.632, .488).
_HABITS = {5: ((0.371, 0.487), (0.629, 0.487)), 68: ((0.369, 0.485), (0.631, 0.485))}
# The eyes' landmarks: the picture's left eye, then its right one.
_EYES = {5: (slice(2, 4), slice(0, 2)), 68: (slice(36, 42), slice(42, 48))}
_NOSES = {5: 4, 68: 33}  # where it meets the lip
# The box that dlib draws about a face aligned in that way: its centre and side in widths of the crop.
_BOX_CENTRE, _BOX_SIDE = np.array([0.5, 0.6]), 0.643
# The predictor answers in whole pixels and wavers with the box. So it looks at an aligned crop of fixed size, in which
# boxes moved by these shifts are averaged: over scales, turns and places, the spread falls from .9 px of 256 to .2.
_SHIFTS = np.array([(0, 0), (0.03, 0.03), (-0.03, 0.03), (0.03, -0.03), (-0.03, -0.03)])
_CROP_PX = 256


class DlibDetector:
    """Finds faces that look into the camera, more or less upright (about 30° to either side), with dlib.

    The picture is searched at a size that ``longest_side`` sets; the eyes are then found in the full picture. The
    smallest face that is found is 80 px wide at the size of the search: with the default, 40 px in a picture of up to
    512 px and 100 px in one of 1280 px.

    Args:
        longest_side: size of the search in pixels; larger pictures are reduced to it, smaller ones are enlarged to it,
            at most twice. The time grows with its square.
        landmarks: 5, a predictor free of restrictions; or 68, which was trained on the iBUG 300-W pictures, whose
            licence excludes commercial use.
        threshold: the least score; faces reach 1 to 3, what is none stays below .3, and dlib's own threshold is 0.
        rounds: how often the eyes are looked for; at 0 they are where they are in most faces, a tenth of it off.

    Raises:
        MissingExtraError: dlib or its models are not installed.
        InputError: an argument is out of its range.
    """

    def __init__(
        self, *, longest_side: int = 1024, landmarks: Landmarks = 5, threshold: float = 0.3, rounds: int = 2
    ) -> None:
        if longest_side < 80:
            raise InputError(f"expected a longest_side of at least 80 pixels, dlib's smallest face, got {longest_side}")
        if landmarks not in get_args(Landmarks):
            raise InputError(f"expected 5 or 68 landmarks, got {landmarks}")
        dlib = import_dlib()
        self._finder = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(dlib_model(f"shape_predictor_{landmarks}_face_landmarks.dat"))
        self._longest_side, self._landmarks, self._threshold = longest_side, landmarks, threshold
        self._rounds = rounds

    def detect(self, image: Pixels) -> list[Face]:
        """Find the faces in a picture, the largest first.

        Args:
            image: RGB, shape (H, W, 3), uint8.
        """
        scale = min(2.0, self._longest_side / max(image.shape[:2]))
        boxes, scores, _ = self._finder.run(_resized(image, scale), 0, self._threshold)
        faces = []
        for box, score in zip(boxes, scores, strict=True):
            left, top, right, bottom = (edge / scale for edge in _edges(box))
            centre = np.array([left + right, top + bottom]) / 2
            guess = centre + (np.array(EYES) - _BOX_CENTRE) * (right - left) / _BOX_SIDE
            eyes = guess
            for _ in range(self._rounds):
                eyes = self.refine(image, eyes)
            faces.append(Face((left, top, right, bottom), eyes, score))
        return largest_first(faces)

    def refine(self, image: Pixels, eyes: Points) -> Points:
        """Find the eyes again near where they were, as in the film's frame before; takes a tenth of :meth:`detect`.

        Args:
            image: RGB, shape (H, W, 3), or how bright it is, shape (H, W), uint8.
            eyes: shape (2, 2), off by a tenth of the face at most. A face is assumed, not looked for.

        Returns:
            Shape (2, 2), in pixels.
        """
        transform = crop_transform(eyes, _CROP_PX)
        crop, (first, second) = _crop(image, transform), _EYES[self._landmarks]
        points = np.mean([self._points(crop, shift) for shift in _SHIFTS], axis=0)
        seen = transform.inverse(np.stack([points[first].mean(0), points[second].mean(0)]))
        return openai_eyes(seen, _HABITS[self._landmarks])

    def turn(self, image: Pixels, eyes: Points) -> float:
        """Tell how far a head is turned to the picture's right, by the nose: 0 looks into the camera.

        Args:
            image: RGB, shape (H, W, 3), or how bright it is, shape (H, W), uint8.
            eyes: shape (2, 2), in pixels.

        Returns:
            By how many widths of the crop the nose is beside its middle: about .03 for 14 degrees.
        """
        points = self._points(_crop(image, crop_transform(eyes, _CROP_PX)), _SHIFTS[0])
        return float(points[_NOSES[self._landmarks], 0] / _CROP_PX - 0.5)

    def _points(self, crop: Pixels, shift: Points) -> Points:
        side = round(_BOX_SIDE * _CROP_PX)
        left, top = (int(edge) for edge in np.rint((_BOX_CENTRE + shift) * _CROP_PX - side / 2))
        box = import_dlib().rectangle(left, top, left + side - 1, top + side - 1)
        parts = self._predictor(crop, box).parts()
        return np.array([(part.x, part.y) for part in parts]) + 0.5


def _crop(image: Pixels, transform: Similarity) -> Pixels:
    # The predictor compares brightnesses, for which green alone will do in a third of the time.
    grey = image if image.ndim == 2 else image[..., 1]
    return resample(grey, transform, _CROP_PX, _CROP_PX, fineness=1)


def _resized(image: Pixels, scale: float) -> Pixels:
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    if (height, width) == image.shape[:2]:
        return np.ascontiguousarray(image)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def _edges(box: Any) -> tuple[int, int, int, int]:
    return box.left(), box.top(), box.right() + 1, box.bottom() + 1
