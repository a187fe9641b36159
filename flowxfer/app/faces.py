"""Faces that can be chosen: those that come with flowxfer, and whatever is uploaded."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flowxfer import images
from flowxfer.errors import ImageError, MissingExtraError
from flowxfer.faces import EYES, Aligned, align
from flowxfer.images import Pixels
from flowxfer.images.people import TruePeople, bundled_data

__all__ = ["Picture", "demo", "demo_film", "kept", "read"]

EXPRESSIONS = ("smile", "surprise", "anger", "closed", "open", "pucker", "smirk", "wink", "sadness", "disgust")

_ALIGNED_WITHIN = 0.04  # of the crop's width: so near to OpenAI's places, eyes are where an aligned face has them
_one_at_a_time = threading.Lock()  # dlib's detector keeps its picture in itself


@dataclass(frozen=True, eq=False)
class Picture:
    """A face of the model's size, and where it comes from.

    Attributes:
        name: what to call it.
        face: RGB, shape (size, size, 3), uint8.
        photo: the photograph that it was cut out of, shape (H, W, 3), uint8; None for an aligned face.
        aligned: where in the photograph it was.
        file: the photograph's.
    """

    name: str
    face: Pixels
    photo: Pixels | None = None
    aligned: Aligned | None = None
    file: Path | None = None


def demo(size: int) -> dict[str, list[Picture]]:
    """The people that come with flowxfer: ``target``, ``expression`` and ``neutral``, the last two of one performer.

    Args:
        size: height and width of a face in pixels.

    Raises:
        InputError: they are not in this installation.
    """
    people = TruePeople.bundled()
    return {
        "target": [Picture(name, people.truth(name, "neutral", size)) for name in people.targets],
        "expression": [Picture(name, people.performed(name, size)) for name in EXPRESSIONS],
        "neutral": [Picture("neutral", face) for face in people.neutral(size)],
    }


def demo_film() -> Path:
    """The film that comes with flowxfer: a person who moves and smiles.

    Raises:
        InputError: it is not in this installation.
    """
    return bundled_data("film/person.mp4", "the demo film")


def read(path: Path, size: int) -> Picture:
    """Read an uploaded picture; a face that is not aligned yet is found and cut out.

    A picture of the model's size is taken as it is, and so is a square one whose eyes are in their places.

    Args:
        path: any picture.
        size: height and width of a face in pixels.

    Raises:
        ImageError: it cannot be read, or there is no face in it.
        MissingExtraError: it has to be aligned, and dlib is not installed.
    """
    photo = images.load(path)
    height, width = photo.shape[:2]
    if (height, width) == (size, size):
        return Picture(path.name, photo)
    try:
        with _one_at_a_time:
            found = align(photo, size=size)
    except MissingExtraError:
        if height != width:
            raise
        found = []
    if height == width and (not found or _in_place(found[0], width)):
        return Picture(path.name, images.load(photo, size))
    if not found:
        raise ImageError(
            f"expected a face in {path.name}, found none; it may be too small, turned away, or not upright"
        )
    return Picture(path.name, found[0].crop, photo, found[0], path)


def kept(picture: Picture, folder: Path) -> Picture:
    """The picture with a copy of its file that stays as long as the picture: what is uploaded goes after an hour."""
    if picture.file is None:
        return picture
    own = Path(tempfile.mkdtemp(dir=folder))
    file = shutil.copyfile(picture.file, own / picture.file.name)
    picture = replace(picture, file=file)
    weakref.finalize(picture, shutil.rmtree, own, ignore_errors=True)
    return picture


def _in_place(aligned: Aligned, width: int) -> bool:
    return bool(np.abs(aligned.face.eyes / width - np.array(EYES)).max() < _ALIGNED_WITHIN)
