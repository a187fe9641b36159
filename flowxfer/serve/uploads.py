"""Uploaded files: pictures and latents, checked before anything is computed."""

from __future__ import annotations

import threading
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from flowxfer.errors import ImageError, LatentsError, MissingExtraError, ShapeError, shortened
from flowxfer.images import FORMATS, Pixels, load
from flowxfer.latents import Latents
from flowxfer.serve.limits import Limits
from flowxfer.serve.problems import Refusal

__all__ = ["is_latents", "read_face", "read_latents"]

_one_at_a_time = threading.Lock()  # dlib's detector keeps its picture in itself
_KINDS = "a picture (PNG, JPEG, WebP, …) or latents (safetensors)"


def is_latents(file: BinaryIO) -> bool:
    """Whether a file is a safetensors file, by the brace that follows the length of its header."""
    file.seek(0)
    return file.read(9)[8:] == b"{"


def read_face(file: BinaryIO, name: str, size: int, limits: Limits, *, align: bool = False) -> Pixels:
    """Read a face of the model's size: (size, size, 3), uint8.

    Args:
        file: any picture; a square one is resized.
        name: what to call it in an error.
        size: height and width of a face.
        limits: on its pixels.
        align: find the largest face in the picture and cut it out, as the models expect it.

    Raises:
        Refusal: 415 for what is no picture, 413 for one of too many pixels.
        ImageError: the picture is damaged.
        ShapeError: it is not square and shall not be aligned.
        InputError: no face was found in it.
    """
    pixels = _pixels(file, name, limits)
    if align:
        return _aligned(pixels, name, size)
    height, width = pixels.shape[:2]
    if height != width:
        raise ShapeError(
            f"expected a square picture of an aligned face in {name}, got {width}x{height} pixels; align=true finds "
            "the face and cuts it out"
        )
    return load(pixels, size)


def read_latents(file: BinaryIO, name: str, shapes: tuple[tuple[int, int, int], ...], limits: Limits) -> Latents:
    """Read latents as :meth:`flowxfer.Latents.save` writes them; the model is compared later.

    Args:
        file: a safetensors file.
        name: what to call it in an error.
        shapes: (C, H, W) of each level of the model.
        limits: on the number of faces.

    Raises:
        Refusal: 415 for what is no safetensors file, 413 for too many faces.
        LatentsError: these are no latents of such a shape, or not finite.
    """
    if not is_latents(file):
        raise Refusal(415, f"expected latents as a safetensors file in {name}, got something else")
    file.seek(0)
    latents = Latents.from_bytes(file.read(), name)
    levels = latents.levels
    if tuple(level.shape[1:] for level in levels) != shapes or any(level.dtype.kind != "f" for level in levels):
        found = ", ".join(f"{level.dtype} {level.shape}" for level in levels)
        raise LatentsError(
            f"expected latents z0 to z{len(shapes) - 1} of (faces, C, H, W) with (C, H, W) {shapes} in {name}, got"
            f" {shortened(found)}"
        )
    if not len(latents) or not all(np.isfinite(level).all() for level in levels):
        raise LatentsError(f"expected finite latents of at least one face in {name}")
    if len(latents) > limits.max_pictures:
        raise too_many(len(latents), limits)
    return latents


def too_many(count: int, limits: Limits) -> Refusal:
    """Say that a request has too many faces."""
    return Refusal(413, f"expected at most {limits.max_pictures} faces in a request, got {count}; send several")


def _pixels(file: BinaryIO, name: str, limits: Limits) -> Pixels:
    file.seek(0)
    try:
        picture = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise Refusal(415, f"expected {_KINDS} in {name}, got something else or a damaged file") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(name, limits) from None
    except Exception as error:  # beside OSError, damaged headers raise struct.error, KeyError and others
        raise ImageError(f"expected a picture in {name}, but it cannot be read: {error}") from error
    if picture.width * picture.height > limits.max_pixels:
        raise _too_many_pixels(name, limits)
    try:
        return load(picture)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error


def _too_many_pixels(name: str, limits: Limits) -> Refusal:
    return Refusal(413, f"expected at most {limits.max_pixels:,} pixels in {name}, got more; make it smaller first")


def _aligned(picture: Pixels, name: str, size: int) -> Pixels:
    from flowxfer import faces

    try:
        with _one_at_a_time:
            found = faces.align(picture, size=size)
    except MissingExtraError:
        raise MissingExtraError("dlib", "faces", "align=true") from None
    if not found:
        raise ImageError(
            f"expected a face in {name}, found none; it may be too small, turned away, or not upright, or it is "
            "aligned already: then leave align out"
        )
    return found[0].crop
