"""A folder of aligned portraits, and where the landmarks of each face are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flowxfer import images
from flowxfer.errors import InputError, reason
from flowxfer.files import replacing
from flowxfer.images.arrays import read_npz
from flowxfer.synth.landmark_rig import LANDMARKS, Portrait

__all__ = ["Album"]

Points = NDArray[np.float64]

_NAME = "landmarks.npz"
_LOOK_PX = 256  # what portraits are resized to before landmarks are looked for


@dataclass(frozen=True, eq=False)
class Album:
    """Portraits of a folder.

    Attributes:
        paths: of the pictures that show a face.
        landmarks: of those faces, shape (N, 468, 2), in widths of the picture.
        faceless: paths of the pictures that show none.
    """

    paths: tuple[Path, ...]
    landmarks: Points
    faceless: tuple[Path, ...]

    @classmethod
    def read(cls, folder: Path, landmarks: Path | None = None) -> Album:
        """Find the landmarks of a folder's portraits, or read them where they were found before.

        They are kept in a file, by what is in the pictures. With it the folder can be read where the landmarker (extra
        ``landmarks``) is not installed.

        Args:
            folder: of square pictures, as ``flowxfer align`` cuts them.
            landmarks: the file; by default ``landmarks.npz`` in the folder.

        Raises:
            ImageError: there is no picture, or one cannot be read.
            ShapeError: a picture is not square.
            InputError: none shows a face, or the file of landmarks is damaged.
            MissingExtraError: a picture is new, and the landmarker is not installed.
        """
        paths = images.expand([folder])
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
        found = _landmarks(paths, digests, landmarks or folder / _NAME)
        seen = [not np.isnan(found[digest]).any() for digest in digests]
        if not any(seen):
            raise InputError(
                f"expected portraits in {folder}, got {len(paths)} pictures, none with a face; "
                "flowxfer align cuts faces out of photographs"
            )
        return cls(
            tuple(path for path, face in zip(paths, seen, strict=True) if face),
            np.stack([found[digest] for digest, face in zip(digests, seen, strict=True) if face]),
            tuple(path for path, face in zip(paths, seen, strict=True) if not face),
        )

    def portrait(self, number: int, size: int) -> Portrait:
        """Read one of the portraits at size x size pixels.

        Raises:
            ImageError: it cannot be read any more.
        """
        return Portrait(images.load(self.paths[number], size), self.landmarks[number] * size)

    def drawn(self, seed: int, first: int, count: int) -> NDArray[np.int64]:
        """Draw portraits: a part of an endless row, from place ``first`` on, that shows each as often as another."""
        total = len(self.paths)
        rounds = range(first // total, (first + count - 1) // total + 1)
        row = [np.random.default_rng([seed, number, 4]).permutation(total) for number in rounds]
        start = first - rounds[0] * total
        return np.concatenate(row)[start : start + count]


def _landmarks(paths: list[Path], digests: list[str], file: Path) -> dict[str, Points]:
    """Landmarks (468, 2) by pictures' digests, not a number where there is no face; brings the file up to date."""
    known = _read(file)
    new = {digest: path for digest, path in zip(digests, paths, strict=True) if digest not in known}
    if not new:
        return known
    from flowxfer.faces.landmarker import FaceLandmarker  # here, for a folder that is known does without

    landmarker = FaceLandmarker()
    try:
        for digest, path in new.items():
            points = landmarker.landmarks(images.load(path, _LOOK_PX))
            known[digest] = np.full((LANDMARKS, 2), np.nan) if points is None else points[:LANDMARKS] / _LOOK_PX
    finally:  # what was found stays found
        with replacing(file) as temporary:
            np.savez_compressed(temporary, digests=np.array(list(known)), landmarks=np.array(list(known.values())))
    return known


def _read(file: Path) -> dict[str, Points]:
    if not file.exists():
        return {}
    try:
        digests, landmarks = read_npz(file, "digests", "landmarks")
        if landmarks.shape != (len(digests), LANDMARKS, 2) or landmarks.dtype.kind != "f":
            raise ValueError(f"landmarks of shape {landmarks.shape}, {landmarks.dtype}")
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"expected landmarks of portraits in {file}: {reason(error)}; without the file they are found again"
        ) from error
    return dict(zip(map(str, digests), landmarks.astype(np.float64), strict=True))
