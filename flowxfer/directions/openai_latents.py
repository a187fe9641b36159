"""Latents as OpenAI's demo keeps them: one vector an image, level after level, each in (height, width, channel) order.

Its ``z_manipulate.npy`` has shape (40, 196608): directions for the 40 attributes of CelebA, 256 pixels, 6 levels.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flowxfer.errors import LatentsError, reason
from flowxfer.images.arrays import read_npy

__all__ = ["CELEBA", "flatten", "load", "unflatten"]

CELEBA = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache",
    "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick",
    "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip
"""CelebA's attributes, in its order."""

Floats = NDArray[np.floating]
Shape = tuple[int, int, int]


def unflatten(vectors: Floats, shapes: Sequence[Shape]) -> list[Floats]:
    """Split vectors into levels.

    Args:
        vectors: shape (…, D), floating point; the leading axes become one, N.
        shapes: (C, H, W) of each level.

    Returns:
        One array (N, C, H, W) per level, in the dtype of ``vectors``.

    Raises:
        LatentsError: D is not the number of values in the levels, or the values are not floating point.
    """
    sizes = [math.prod(shape) for shape in shapes]
    if vectors.ndim == 0 or vectors.shape[-1] != sum(sizes) or not np.issubdtype(vectors.dtype, np.floating):
        raise LatentsError(
            f"expected floating point vectors of {sum(sizes)} values for levels of {list(shapes)}, got"
            f" {vectors.dtype} {vectors.shape}; latents fit only the model that made them"
        )
    parts = np.split(vectors.reshape(-1, sum(sizes)), np.cumsum(sizes)[:-1], axis=1)
    return [
        np.ascontiguousarray(part.reshape(-1, height, width, channels).transpose(0, 3, 1, 2))
        for part, (channels, height, width) in zip(parts, shapes, strict=True)
    ]


def flatten(levels: Sequence[Floats]) -> Floats:
    """Join levels (N, C, H, W) to vectors (N, D); the inverse of :func:`unflatten`.

    Raises:
        LatentsError: the levels are not of one number of images, or not of four axes.
    """
    shapes = [level.shape for level in levels]
    if not levels or {len(shape) for shape in shapes} != {4} or len({shape[0] for shape in shapes}) > 1:
        raise LatentsError(f"expected levels of shape (N, C, H, W) with one N, got {shapes}")
    return np.concatenate([level.transpose(0, 2, 3, 1).reshape(len(level), -1) for level in levels], axis=1)


def load(path: str | os.PathLike[str], shapes: Sequence[Shape]) -> list[Floats]:
    """Read a ``.npy`` file of vectors as levels (:func:`unflatten`); it cannot run code.

    Raises:
        LatentsError: the file is missing, damaged or holds Python objects, or its vectors have another length.
    """
    try:
        vectors = read_npy(path)
    except (OSError, ValueError) as error:
        raise LatentsError(
            f"expected a .npy file of latents at {path}, but it cannot be read: {reason(error)}"
        ) from error
    return unflatten(vectors, shapes)
