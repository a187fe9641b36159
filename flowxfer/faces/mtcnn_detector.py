"""Faces by MTCNN, three small networks in a cascade, as facenet-pytorch has them: what the paper measured with."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from PIL import Image

from flowxfer.errors import FlowxferError, InputError, unimportable
from flowxfer.faces.detector import Face, largest_first, openai_eyes
from flowxfer.images import Pixels

__all__ = ["MtcnnDetector"]

# Where MTCNN sees the eyes of faces that OpenAI's convention aligned: the mirrored mean of photographs,
# (.3728, .4768) and (.6399, .4777), and of flowxfer's demo people, (.3710, .4853) and (.6306, .4830).
_HABIT = ((0.368, 0.480), (0.632, 0.480))


class MtcnnDetector:
    """Finds faces with MTCNN: more of them than dlib, small and turned ones too, but needs PyTorch.

    Args:
        smallest_px: width of the smallest face to find, in pixels; the time falls with its square.
        threshold: the least score, a probability.
        device: PyTorch's name of the device, such as ``"cuda"``.

    Raises:
        MissingExtraError: facenet-pytorch is not installed.
        FlowxferError: it is, but torchvision does not fit the installed PyTorch.
        InputError: an argument is out of its range.
    """

    def __init__(self, *, smallest_px: int = 40, threshold: float = 0.9, device: str = "cpu") -> None:
        if smallest_px < 12:
            raise InputError(f"expected smallest_px of at least 12, MTCNN's own smallest face, got {smallest_px}")
        if not 0 <= threshold < 1:
            raise InputError(f"expected a threshold from 0 to below 1, a probability, got {threshold}")
        self._smallest_px, self._threshold = smallest_px, threshold
        self._networks = _facenet().MTCNN(min_face_size=smallest_px, keep_all=True, device=device)

    def detect(self, image: Pixels) -> list[Face]:
        """Find the faces in a picture, the largest first.

        Args:
            image: RGB, shape (H, W, 3), uint8.
        """
        if min(image.shape[:2]) < self._smallest_px:
            return []  # facenet-pytorch would raise
        boxes, scores, points = self._networks.detect(Image.fromarray(image), landmarks=True)
        if boxes is None:
            return []
        faces = []
        for (left, top, right, bottom), score, landmarks in zip(boxes, scores, points, strict=True):
            if score >= self._threshold:
                eyes = openai_eyes(np.asarray(landmarks[:2], np.float64), _HABIT)
                faces.append(Face((float(left), float(top), float(right), float(bottom)), eyes, float(score)))
        return largest_first(faces)


def _facenet() -> Any:
    try:
        return import_module("facenet_pytorch")
    except ImportError as error:
        raise unimportable(error, error.name or "facenet_pytorch", "facenet", "MtcnnDetector") from error
    except RuntimeError as error:
        # torchvision registers its operators on import and breaks there beside a PyTorch of another build.
        raise FlowxferError(
            f"MtcnnDetector expected a torchvision built for the installed torch, got one that fails to load: {error}; "
            "install torch and torchvision from the same index, or take DlibDetector"
        ) from error
