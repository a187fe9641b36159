"""From a photograph to faces of one size, with the eyes where OpenAI put those of CelebA-HQ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from flowxfer.errors import InputError
from flowxfer.faces.detector import Detector, Face, any_way_up, crop_transform
from flowxfer.faces.dlib_detector import DlibDetector
from flowxfer.faces.pictures import Picture, Plain
from flowxfer.faces.resampling import needed, resample
from flowxfer.faces.similarity import Similarity
from flowxfer.images import Pixels, Source, load

__all__ = ["Aligned", "align"]


@dataclass(frozen=True, eq=False)
class Aligned:
    """A face cut out of a picture.

    Attributes:
        crop: RGB, shape (size, size, 3), uint8.
        transform: takes the picture's points to the crop's; ``transform.inverse`` goes back.
        face: what the detector found.
    """

    crop: Pixels
    transform: Similarity
    face: Face

    @classmethod
    def cut(cls, image: Pixels | Picture, face: Face, size: int) -> Aligned:
        """Cut a face out.

        What lies beyond the picture's border is filled with its mirror image.

        Args:
            image: RGB, shape (H, W, 3), uint8; of a :class:`Picture` only the part is looked at that is needed.
            face: where it is.
            size: of the crop, in pixels.
        """
        transform = crop_transform(face.eyes, size)
        picture = Plain(image) if isinstance(image, np.ndarray) else image
        rows, columns = needed(picture.shape, transform, size, size)
        to_part = transform @ Similarity(1, complex(columns.start, rows.start))
        return cls(resample(picture.part(rows, columns), to_part, size, size), transform, face)

    @property
    def score(self) -> float:
        """How sure the detector is."""
        return self.face.score


def align(
    image: Source, detector: Detector | None = None, size: int = 256, *, rotations: bool = False
) -> list[Aligned]:
    """Find the faces in a picture and cut them out, eyes level, at (.371, .480) and (.629, .480) of the crop.

    A face that nobody finds is no error: the list is empty where there is none, where it is too small for the detector,
    and where it lies on its side or its head, unless ``rotations`` is set. A face at the border comes with the
    picture's mirror image where the picture ends.

    Args:
        image: a path, a PIL image, or a uint8 array, as :func:`flowxfer.images.load` takes it.
        detector: what finds faces; by default dlib, with its 5 landmarks.
        size: of a crop, in pixels.
        rotations: try the picture in all four quarter turns, which takes four times as long.

    Returns:
        The faces, the largest first.

    Raises:
        InputError: the size is less than a pixel.
        ImageError: the picture cannot be read.
        MissingExtraError: the default detector is not installed.

    Examples:
        >>> import numpy as np
        >>> align(np.zeros((240, 320, 3), np.uint8))  # nobody is there
        []
    """
    if size < 1:
        raise InputError(f"expected crops of at least 1 pixel, got size {size}; models take 64, 128 or 256")
    picture = load(image)
    detector = detector or _default_detector()
    faces = any_way_up(detector, picture) if rotations else detector.detect(picture)
    return [Aligned.cut(picture, face, size) for face in faces]


@cache
def _default_detector() -> DlibDetector:
    return DlibDetector()
