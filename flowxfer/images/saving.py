"""Pictures out, whole or not at all, with what they say of how they were made."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from PIL import ExifTags, Image

from flowxfer.errors import ImageError
from flowxfer.images.reading import FORMATS, load

if TYPE_CHECKING:
    from flowxfer.provenance import Mark

log = logging.getLogger(__name__)

__all__ = ["check_writable_suffix", "save"]

_WRITTEN: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True},
}
_MOST_EXIF = 0xFFFF - 2 - 6  # bytes that fit into a segment of JPEG


def save(
    picture: Image.Image | NDArray[Any],
    path: str | os.PathLike[str],
    mark: Mark | None = None,
    *,
    original: Path | None = None,
) -> None:
    """Write a picture, whole or not at all: PNG, JPEG (quality 95) or lossless WebP, by the suffix.

    Args:
        picture: a PIL image or a uint8 array, as :func:`load` takes it.
        path: its folder is made where it does not exist; a file that is there is replaced.
        mark: what the picture says of how it was made; by default nothing.
        original: the file of which this is a new version, of the same size: its colour profile and EXIF are kept, and
            below a mark its XMP.

    Raises:
        ImageError: the suffix is another.
        ShapeError: the array is of another shape or dtype.
        ProvenanceError: the mark cannot be signed.
    """
    from flowxfer.provenance import marking  # here, so that reading a picture loads none of it

    path = Path(path)
    check_writable_suffix(path)
    image, kept = Image.fromarray(load(picture)), {} if original is None else _metadata(original)
    with marking(path, mark, parent=original) as temporary:
        image.save(temporary, **_WRITTEN[path.suffix.lower()], **kept)


def check_writable_suffix(path: Path) -> None:
    """Raise the ImageError that :func:`save` would raise for this name, before there is a picture to save."""
    if path.suffix.lower() not in _WRITTEN:
        raise ImageError(f"expected a name that ends in {', '.join(_WRITTEN)}, got {path}")


def _metadata(original: Path) -> dict[str, Any]:
    """The colour profile and the EXIF of a file, as far as they are true of its upright RGB pixels."""
    kept = {}
    with Image.open(original, formats=FORMATS) as image:
        profile = image.info.get("icc_profile", b"")
        if profile[16:20] == b"RGB ":
            kept["icc_profile"] = profile
        try:
            exif = image.getexif()
            exif.pop(ExifTags.Base.Orientation, None)  # it is applied; the thumbnail, of the old picture, stays behind
            if exif and len(data := exif.tobytes()) <= _MOST_EXIF:
                kept["exif"] = data
        except Exception as error:  # whatever a damaged one raises, the picture is worth more
            log.warning("the EXIF of %s cannot be read: %s", original, error)
    return kept
