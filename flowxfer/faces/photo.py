"""Transfer on a whole photograph: detect, align, transfer, paste."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from flowxfer.errors import InputError
from flowxfer.faces.alignment import Aligned, align
from flowxfer.faces.detector import Detector
from flowxfer.faces.identity import Person, Reference, embed
from flowxfer.faces.paste import Paste, paste_blend
from flowxfer.images import Pixels, Source, load

if TYPE_CHECKING:
    from flowxfer.latents import Latents
    from flowxfer.transferer import Faces, Transferer
    from flowxfer.types import Alpha

__all__ = ["Choice", "choose", "left_to_right", "transfer_photo"]

Choice: TypeAlias = "Literal['all', 'largest', 'leftmost'] | int | Reference"
"""Which of several faces; a number counts from 0, from left to right; a :class:`Reference` shows whom."""


def transfer_photo(
    transferer: Transferer,
    photo: Source,
    expression: Faces | None = None,
    neutral: Faces | None = None,
    alpha: Alpha = 0.4,
    *,
    direction: Latents | None = None,
    face: Choice = "largest",
    detector: Detector | None = None,
    rotations: bool = False,
    paste: Paste = paste_blend,
) -> Pixels:
    """Give people in a photograph an expression that somebody else performs.

    Args:
        transferer: the model.
        photo: a path, a PIL image or a uint8 array, of any size.
        expression: the aligned face that performs, as :meth:`Transferer.transfer` takes it; :func:`align` aligns.
        neutral: the performer without expression.
        alpha: strength: 0 gives the photograph back, byte by byte; 1 transfers in full.
        direction: in place of both, latents of one, as :meth:`Transferer.manipulate` takes them.
        face: which of several.
        detector: what finds faces; by default dlib.
        rotations: also find faces in a photograph that lies on its side or its head.
        paste: how they come back: :func:`paste_blend`, :func:`paste_change`, :func:`paste_face` or :func:`paste_crop`.

    Returns:
        RGB, the photograph's shape (H, W, 3), uint8.

    Raises:
        InputError: there is no face, or not the one that was asked for; or not what is transferred, or twice.
    """
    if direction is None and expression is not None and neutral is not None:
        direction = transferer.direction(expression, neutral)
    elif direction is None or expression is not None or neutral is not None:
        raise InputError("expected a direction, or an expression and a neutral: what is transferred?")
    picture = load(photo)
    chosen = choose(align(picture, detector, transferer.size, rotations=rotations), face)
    decoded = transferer.manipulate(np.stack([aligned.crop for aligned in chosen]), direction, alpha)
    for aligned, new in zip(chosen, decoded, strict=True):
        picture = paste(picture, aligned, new)
    return picture


def choose(faces: Sequence[Aligned], which: Choice) -> list[Aligned]:
    """Choose among the faces of a picture.

    Args:
        faces: the largest first, as :func:`align` gives them.
        which: ``"all"``, ``"largest"``, ``"leftmost"``, a number, which counts from 0, from left to right, or a
            :class:`Reference`: the face most like it; crops of 64 px are enough, larger ones are surer.

    Raises:
        InputError: there is no face, not so many, none like the reference, or the choice is none of these.
    """
    if not faces:
        raise InputError(
            "expected a face in the picture, found none; it may be too small, turned away, or not upright "
            "(rotations=True, --rotations on the command line, looks for those)"
        )
    in_order = left_to_right(faces)
    if which == "all":
        return list(faces)
    if which == "largest":
        return [faces[0]]
    if which == "leftmost":
        return [in_order[0]]
    if isinstance(which, Reference):
        return [_most_like(faces, which)]
    if not isinstance(which, int):
        raise InputError(f"expected all, largest, leftmost, a number or a Reference to choose a face, got {which!r}")
    if not 0 <= which < len(in_order):
        raise InputError(f"expected a face from 0 to {len(in_order) - 1}, counted from the left, got {which}")
    return [in_order[which]]


def _most_like(faces: Sequence[Aligned], reference: Reference) -> Aligned:
    index = Person(reference.embedding()).pick([embed(aligned.crop) for aligned in faces])
    if index is None:
        raise InputError(f"expected a face like the reference's, found {len(faces)} of others; name one by number")
    return faces[index]


def left_to_right(faces: Sequence[Aligned]) -> list[Aligned]:
    """Sort faces by where their eyes are."""
    return sorted(faces, key=lambda aligned: float(aligned.face.eyes[:, 0].mean()))
