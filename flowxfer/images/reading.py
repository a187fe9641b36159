"""Pictures in: files, PIL images and arrays to RGB uint8."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from flowxfer.errors import ImageError, InputError, ShapeError, reason

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "Pixels",
    "Source",
    "Sources",
    "check_no_pipe",
    "expand",
    "load",
    "load_faces",
    "orientation",
    "pictures_among",
]

log = logging.getLogger(__name__)

Pixels: TypeAlias = NDArray[np.uint8]
Source: TypeAlias = "str | os.PathLike[str] | Image.Image | NDArray[Any]"
Sources: TypeAlias = "Source | Iterable[Sources]"

# Named, because Pillow's full list holds formats that start other programs (EPS) or reach for further files.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
SUFFIXES = (".png", *_JPEG, ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".jp2")
_OTHERS = {".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC", ".jxl": "JPEG XL", ".psd": "Photoshop"}
_OTHERS |= dict.fromkeys((".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"), "raw")
"""Pictures that people have and nothing here reads, by their suffixes."""
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF."""
_WHITE = (255, 255, 255, 255)


def load(source: Source, size: int | None = None) -> Pixels:
    """Read one picture.

    Args:
        source: a path, a PIL image, or a uint8 array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
        size: resize a square picture to size x size; by default its own size is kept.

    Returns:
        RGB, shape (H, W, 3), uint8.

    Raises:
        ImageError: the file is missing, empty, damaged, of an unknown format, or too large; the message names it.
        ShapeError: an array is not uint8 or of another shape, or a picture to be resized is not square.
        InputError: the source is none of these.
    """
    if isinstance(source, (str, os.PathLike)):
        image, name = _read(Path(source)), os.fspath(source)
    elif isinstance(source, Image.Image):
        image, name = _upright(source, "the image"), "the image"
    elif isinstance(source, np.ndarray):
        image, name = Image.fromarray(_checked(source)), "the array"
    else:
        raise InputError(f"expected a path, a PIL image or a uint8 array, got {type(source).__name__}")
    pixels = np.asarray(_rgb(image, name))
    return pixels if size is None else _resized(pixels, size, name)


def load_faces(sources: Sources, size: int, *, resize: bool = False) -> Pixels:
    """Read faces that are all size x size.

    Args:
        sources: a picture as :func:`load` takes it, a folder or a pattern as :func:`expand` takes it, an array of shape
            (N, H, W, 3), or an iterable of these.
        size: height and width of a face.
        resize: resize square pictures of another size.

    Returns:
        RGB, shape (N, size, size, 3), uint8.

    Raises:
        ImageError: there is no picture, or one cannot be read.
        ShapeError: a face has another size, or with ``resize`` is not square.
    """
    faces = []
    for source in _each(sources):
        face = load(source, size if resize else None)
        if face.shape[:2] != (size, size):
            where = f" in {source}" if isinstance(source, (str, os.PathLike)) else ""
            way_out = (
                f"flowxfer.images.load_faces(…, {size}, resize=True) resizes it"
                if face.shape[0] == face.shape[1]
                else "flowxfer.faces.align() cuts faces out"
            )
            raise ShapeError(f"expected faces of {size}x{size} pixels, got {_size(face)}{where}; {way_out}")
        faces.append(face)
    if not faces:
        raise ImageError("expected at least one picture, got none")
    return np.stack(faces)


def expand(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """List the picture files that files, folders and patterns such as ``id1/*.png`` stand for.

    The arguments keep their order; what a folder or a pattern holds is sorted, ``face2`` before ``face10``. A file that
    is named is taken whatever its suffix, in a folder those with a picture's suffix, hidden ones left out.

    Raises:
        ImageError: a path does not exist, or a folder or pattern holds no picture.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_file():
            found.append(path)
            continue
        check_no_pipe(path)
        if path.is_dir():
            candidates = list(path.iterdir())
        elif glob.has_magic(str(path)):
            candidates = [Path(match) for match in glob.glob(str(path), recursive=True)]
        else:
            raise ImageError(f"expected a picture or a folder of pictures at {path}, but there is nothing")
        pictures = pictures_among(candidates)
        if not pictures:
            raise ImageError(f"expected pictures ({', '.join(SUFFIXES)}) in {path}, but there are none")
        found += sorted(pictures, key=_natural)
    return found


def pictures_among(paths: Iterable[Path], *, below: Path | None = None) -> list[Path]:
    """Choose the pictures among what a folder or a pattern holds, by their suffixes; hidden ones are left out.

    Those that nothing here reads, such as HEIC, are left out with a warning.

    Args:
        paths: files, folders and others.
        below: the folder that was searched with its subfolders, of which hidden ones are left out too.
    """
    shown = [
        p for p in paths if not any(part[0] == "." for part in (p.relative_to(below).parts if below else p.parts[-1:]))
    ]
    if others := [p for p in shown if p.suffix.lower() in _OTHERS and p.is_file()]:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        kind = _OTHERS[others[0].suffix.lower()]
        log.warning("%s%s left out: %s pictures are not read here; convert them to JPEG", min(others), more, kind)
    return [p for p in shown if p.suffix.lower() in SUFFIXES and p.is_file()]


def _each(sources: Any) -> Iterator[Source]:
    if isinstance(sources, (str, os.PathLike)):
        yield from expand([sources])
    elif isinstance(sources, Image.Image) or (isinstance(sources, np.ndarray) and sources.ndim != 4):
        yield sources
    elif isinstance(sources, Iterable) and (isinstance(sources, np.ndarray) or not hasattr(sources, "__array__")):
        for source in sources:
            yield from _each(source)
    else:
        raise InputError(f"expected pictures: paths, PIL images or uint8 arrays, got {type(sources).__name__}")


def _parts(path: Path, below: Path | None) -> tuple[str, ...]:
    return path.parts[-1:] if below is None else path.relative_to(below).parts


def check_no_pipe(path: Path) -> None:
    """Refuse a pipe or a device: pictures and films are read from more than one place, and more than once.

    Raises:
        ImageError: it is one.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ImageError(
            f"expected a file at {path}, got a pipe or a device; write what comes out of it to a file first"
        )


def _read(path: Path) -> Image.Image:
    check_no_pipe(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise Image.DecompressionBombError
            return _upright(image, str(path))
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"expected a picture at {path}, but there is no such file") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"{path} is larger than {Image.MAX_IMAGE_PIXELS:,} pixels; make it smaller first") from None
    except UnidentifiedImageError:
        raise ImageError(f"expected a picture (PNG, JPEG, WebP, …) in {path}, got {_instead(path)}") from None
    except Exception as error:  # beside OSError, damaged headers raise struct.error, KeyError and others
        raise ImageError(f"expected a picture in {path}, but it cannot be read: {_said(error)}") from error


def _instead(path: Path) -> str:
    """What a file is that is no picture which can be read here."""
    with path.open("rb") as file:
        head = file.read(32)
    if head[4:8] == b"ftyp" and {head[8:12], *(head[i : i + 4] for i in range(16, 32, 4))} & _HEIF:
        return "HEIC; convert it to JPEG first"
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "JPEG XL; convert it to JPEG or PNG first"
    return "something else or a damaged file" if head else "an empty file"


def _said(error: Exception) -> str:
    """What an error says of a file; those of Python's own about a damaged header say nothing to its owner."""
    if isinstance(error, (OSError, SyntaxError)) or type(error) is ValueError:  # Pillow's own
        return getattr(error, "strerror", None) or reason(error)
    return "its header is not understood"


def _upright(image: Image.Image, name: str) -> Image.Image:
    """Decode the picture and apply its EXIF rotation."""
    try:
        image.load()
        turn = _TURNS.get(orientation(image))
        return image.copy() if turn is None else image.transpose(turn)
    except Exception as error:  # the same
        raise ImageError(f"{name} is damaged or cut short: {_said(error)}; fetch or export it again") from error


def orientation(image: Image.Image) -> int:
    """Read how a picture is turned, EXIF's 1 to 8; 1 where its EXIF is damaged or says nothing."""
    try:
        said = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception as error:  # whatever a damaged one raises, the picture can still be seen
        log.debug("EXIF that cannot be read: %s", error)
        return 1
    return said if said in _TURNS else 1


def _rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith("I"):
        grey, clear = np.asarray(image), image.info.get("transparency")
        pixels = _eight_bits(grey, name)
        if clear is not None:
            pixels[grey == clear] = 255
        return Image.fromarray(pixels).convert("RGB")
    if image.mode == "F":
        raise ImageError(f"expected 8 or 16 bits a colour in {name}, got floating point; convert it to PNG first")
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", colours.size, _WHITE), colours)
    return image.convert("RGB")


def _eight_bits(values: NDArray[Any], name: str) -> Pixels:
    # Pillow's own convert() clips 16-bit grey at 255, which turns nearly all of it white.
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(f"expected 8 or 16 bits a colour in {name}, got values from {values.min()} to {values.max()}")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _checked(array: NDArray[Any]) -> Pixels:
    if array.dtype != np.uint8:
        ways_out = {"f": "(x * 255).round().clip(0, 255).astype('uint8')", "u": "(x // 257).astype('uint8')"}
        way_out = ways_out.get(array.dtype.kind, "x.astype('uint8')")
        raise ShapeError(
            f"expected uint8 colours from 0 to 255, got {array.dtype}; {way_out} converts the usual range of that type"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or 0 in array.shape:
        raise ShapeError(f"expected an array of shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}")
    return cast(Pixels, np.ascontiguousarray(array))


def _resized(pixels: Pixels, size: int, name: str) -> Pixels:
    height, width = pixels.shape[:2]
    if height == width == size:
        return pixels
    if height != width:
        raise ShapeError(f"expected a square face, got {_size(pixels)} pixels in {name}; crop it first")
    # The box filter takes whole blocks of pixels to one; where there are no whole blocks, Lanczos is sharper.
    filter_ = Image.Resampling.BOX if width % size == 0 else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(pixels).resize((size, size), filter_))


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts numbers by their value."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), part) if part.isdecimal() else (0, part) for part in parts]
