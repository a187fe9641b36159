"""Pictures out, whole or not at all, with what they say of how they were made."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from PIL import ExifTags, Image

from flowxfer.errors import ImageError, reason
from flowxfer.images.reading import FORMATS, load, orientation

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
# Of a picture's own tags those about what it shows; the others say how the old file stored it, and where in it what is.
_TAG = ExifTags.Base
_KEPT = {
    *(_TAG.ImageDescription, _TAG.Make, _TAG.Model, _TAG.Software, _TAG.DateTime, _TAG.Artist, _TAG.HostComputer),
    *(_TAG.Copyright, _TAG.XResolution, _TAG.YResolution, _TAG.ResolutionUnit, _TAG.Rating, _TAG.RatingPercent),
    *(_TAG.XPTitle, _TAG.XPComment, _TAG.XPAuthor, _TAG.XPKeywords, _TAG.XPSubject),
}
_OF_THE_FILE = {_TAG.ComponentsConfiguration, _TAG.CompressedBitsPerPixel, _TAG.ImageUniqueID, ExifTags.IFD.Interop}
_WHERE = {_TAG.SubjectLocation, 0x9214}  # and SubjectArea: in the old picture
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
    image, options = Image.fromarray(load(picture)), _WRITTEN[path.suffix.lower()]
    kept = {} if original is None else _metadata(original, image.size, options["format"])
    with marking(path, mark, parent=original) as temporary:
        image.save(temporary, **options, **kept)


def check_writable_suffix(path: Path) -> None:
    """Raise the ImageError that :func:`save` would raise for this name, before there is a picture to save."""
    if path.suffix.lower() not in _WRITTEN:
        raise ImageError(f"expected a name that ends in {', '.join(_WRITTEN)}, got {path}")


def _metadata(original: Path, size: tuple[int, int], format_: str) -> dict[str, Any]:
    """The colour profile and the EXIF of a file, as far as they are true of its upright RGB pixels.

    Args:
        original: the file.
        size: width and height of the new picture.
        format_: of the new picture, as Pillow names it.
    """
    kept = {}
    with Image.open(original, formats=FORMATS) as image:
        profile = image.info.get("icc_profile") or b""  # None where a part of it is missing
        if profile[16:20] == b"RGB ":
            kept["icc_profile"] = profile
        try:
            data = _true_exif(image, size)
        except Exception as error:  # whatever a damaged one raises, the picture is worth more
            log.warning("the EXIF of %s cannot be read: %s", original, reason(error))
            return kept
    if format_ == "JPEG" and len(data) > _MOST_EXIF:
        text = "the EXIF of %s is left behind: its %s bytes are more than JPEG holds; a .png or .webp keeps it"
        log.warning(text, original, f"{len(data):,}")
    elif data:
        kept["exif"] = data
    return kept


def _true_exif(image: Image.Image, size: tuple[int, int]) -> bytes:
    """What a picture's EXIF says that is true of its new version, of that width and height, which is upright."""
    said, kept, turned = image.getexif(), Image.Exif(), orientation(image) != 1
    kept.update({tag: said[tag] for tag in _KEPT if tag in said})
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        values = {tag: value for tag, value in said.get_ifd(ifd).items() if tag not in _OF_THE_FILE}
        if turned:
            values = {tag: value for tag, value in values.items() if tag not in _WHERE}
        for tag, length in zip((ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight), size, strict=True):
            if tag in values:
                values[tag] = length
        if values:
            kept.get_ifd(ifd).update(values)
            kept[ifd] = 0  # where it begins, which is found out as it is written
    return kept.tobytes() if kept else b""
