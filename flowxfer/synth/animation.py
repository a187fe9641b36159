"""Photographs that perform: true pairs of pictures of people who were never photographed so.

Landmarks move as those of rendered people do (`landmark_rig`), and a spline moves the pixels (`warping`). Two things no
spline makes. A closed eye is another surface than an open one: the lid is a sheet of its own, drawn from the skin above
the lashes and laid over an eyeball that stays. And what an opening mouth shows was not in the picture: the inside of a
rendered person's is laid in, in the photograph's tone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import pchip_interpolate
from scipy.ndimage import gaussian_filter

from flowxfer.images import Pixels
from flowxfer.synth.landmark_rig import (
    EYES,
    LOWER_LIP,
    UPPER_LIP,
    Eye,
    Motion,
    Portrait,
    load_rig,
    mouth_gap,
    mouth_width,
)
from flowxfer.synth.warping import displacements, sample, spline

__all__ = ["animate"]

Points = NDArray[np.float64]
Numbers = NDArray[np.int64]

_LASHES = 0.2  # of the lid gap, above the upper lid's line: where its skin begins
_LASH_WIDTH, _LASH_OPACITY = 2.2 / 256, 0.75  # of the line where lids meet; widths of the picture
_OPEN = 0.10  # mouths that stand open farther show teeth, which an opening would stretch; gaps in widths of the mouth
_NARROW = 0.9  # of its width: a mouth that becomes narrower would squeeze the teeth that it shows
_PARTED, _PARTED_FULLY = 0.06, 0.14  # from here an opening shows the inside, from there in full
_WITHIN = 0.93  # of the donor's inner lips, about their middle, is what is shown, or their rim would show
_SOFT = 0.8 / 256  # blur of the inside's outline, in widths of the picture
_CHEEKS = np.array([50, 101, 118, 117, 123, 187, 205, 36, 142, 100, 280, 330, 347, 346, 352, 411, 425, 266, 371, 329])
_UNDER_EYES = np.array([229, 230, 231, 110, 24, 23, 22, 449, 450, 451, 339, 254, 253, 252])
_SHADE = 0.44  # of the cheeks' brightness: where skin under the eyes is darker, they are behind dark glasses
_INNER_LIPS = np.union1d(UPPER_LIP, LOWER_LIP)
_LIDS = np.concatenate([[*eye.upper, *eye.lower] for eye in EYES])


def animate(portrait: Portrait, expression: Points, donor: Portrait | None = None) -> Pixels | None:
    """Show how the face of a photograph would perform an expression.

    Args:
        portrait: a face without expression, upright, about as large as aligned faces are.
        expression: weights of :data:`flowxfer.synth.ACTIONS`, shape (52,); where eyes look is left as it is.
        donor: a rendered person who performs the expression, whose mouth may be looked into; of any size.

    Returns:
        RGB, of the portrait's shape, uint8: equal in every byte where nothing moves. None where the result would not
        pass for a photograph: the mouth should open and there is no donor; it shows teeth and should open farther or
        become narrower; lids should move behind dark glasses, or in deep shadow.
    """
    motion = load_rig().move(portrait.landmarks, expression)
    before, after = mouth_gap(portrait.landmarks), mouth_gap(motion.face)
    opens, size = after > before + _PARTED, len(portrait.picture)
    if opens and donor is None:
        return None
    narrows = mouth_width(motion.face) < _NARROW * mouth_width(portrait.landmarks)
    if before > _OPEN and (opens or narrows):
        return None
    if _shaded(portrait) and np.abs(motion.lids - portrait.landmarks)[_LIDS].max() > _SOFT * size:
        return None
    moved = sample(portrait.picture, *_sources(displacements(portrait.landmarks, motion.face, size)))
    moved = _lids(moved, portrait, motion)
    if opens and donor:
        share = (after - before - _PARTED) / (_PARTED_FULLY - _PARTED)
        moved = _mouth(moved, portrait, motion.face, donor, min(share, 1.0))
    return np.asarray(moved.round().clip(0, 255), np.uint8)


def _shaded(portrait: Portrait) -> bool:
    """Tell whether eyes lie behind dark glasses, or in deep shadow."""
    return _brightness(portrait, _UNDER_EYES) < _SHADE * _brightness(portrait, _CHEEKS)


def _sources(moves: Points) -> tuple[Points, Points]:
    """Where pixels come from, x and y, of how far from there they are."""
    y, x = np.indices(moves.shape[:2]) + 0.5
    return x + moves[..., 0], y + moves[..., 1]


def _lids(face: Points, portrait: Portrait, motion: Motion) -> Points:
    """Lay the upper lids that fall over a face (S, S, 3) whose eyes are open."""
    blinking = [(eye, blink) for eye, blink in zip(EYES, motion.blinks, strict=True) if blink > 0]
    if not blinking:
        return face
    size, rims = len(face), portrait.landmarks.copy()
    for eye, blink in blinking:
        room = rims[eye.crease] - rims[eye.upper]
        lashes = _LASHES * np.linalg.norm(rims[eye.lower] - rims[eye.upper], axis=1)
        share = np.minimum(lashes / np.maximum(np.linalg.norm(room, axis=1), 1e-9), 0.5)  # skin must remain
        rims[eye.upper] += _soon(blink) * share[:, None] * room
    skin = np.setdiff1d(np.arange(len(rims)), [eye.lower for eye, _ in blinking])
    x, y = _sources(displacements(rims[skin], motion.lids[skin], size))
    uncovered = np.zeros((size, size))
    for eye, _ in blinking:
        line = _lid_line(motion.lids, eye)
        y = _without_eyeball(x, y, _lid_line(rims, eye), line)
        uncovered += _between(line, motion.lids[eye.below], size)
    face = _laid(face, sample(portrait.picture, x, y), 1 - uncovered)
    for eye, blink in blinking:
        ink = np.percentile(sample(portrait.picture, *_lid_line(portrait.landmarks, eye).T), 15, axis=0)
        line, half = _lid_line(motion.lids, eye)[3:-3], np.array([0, _LASH_WIDTH * size / 2])
        lashes = gaussian_filter(_between(line - half, line + half, size), _SOFT * size)
        face = _laid(face, np.minimum(ink, face), _LASH_OPACITY * _soon(blink) * lashes)
    return face


def _soon(blink: float) -> float:
    """Let what belongs to lids that fall come in gently: from 0 to 1 in the first quarter of the fall."""
    return min(4 * blink, 1.0)


def _without_eyeball(x: Points, y: Points, rim: Points, line: Points) -> Points:
    """Let a lid show nothing from below the ``rim`` where its skin begins: new y of where pixels come from.

    Args:
        x: of where pixels come from, shape (S, S).
        y: likewise.
        rim: the upper lid of the open eye, shape (n, 2).
        line: where it falls, shape (n, 2).
    """
    rows, columns = np.indices(y.shape) + 0.5
    bottom, top = _heights(line, columns), _heights(rim, columns)
    lid = (columns > line[:, 0].min() - 1) & (columns < line[:, 0].max() + 1)
    lid &= (rows < bottom + 1) & (rows > np.minimum(top, bottom) - 0.8 * (bottom - top).max() - 1)
    return np.where(lid, np.minimum(y, _heights(rim, x)), y)


def _mouth(face: Points, portrait: Portrait, landmarks: Points, donor: Portrait, share: float) -> Points:
    """Lay the inside of a donor's mouth into a face (S, S, 3) whose inner lips are at ``landmarks``."""
    size = len(face)
    inside = share * gaussian_filter(_between(landmarks[UPPER_LIP], landmarks[LOWER_LIP], size), _SOFT * size)
    if not inside.any():  # of a face in profile, or at the picture's border
        return face
    rows, columns = (slice(hit[0], hit[-1] + 1) for hit in (np.flatnonzero(inside.any(axis)) for axis in (1, 0)))
    y, x = np.mgrid[rows, columns] + 0.5
    source = donor.landmarks[_INNER_LIPS]
    source = source + (1 - _WITHIN) * (source.mean(0) - source)
    moves = spline(source, landmarks[_INNER_LIPS], np.column_stack([x.ravel(), y.ravel()]), size**2 / 256**2)
    shown = sample(donor.picture, x + moves[:, 0].reshape(x.shape), y + moves[:, 1].reshape(x.shape))
    tone = np.sqrt(_brightness(portrait, _CHEEKS) / max(_brightness(donor, _CHEEKS), 1.0))
    face = face.copy()
    face[rows, columns] = _laid(face[rows, columns], np.clip(tone, 0.7, 1.25) * shown, inside[rows, columns])
    return face


def _brightness(portrait: Portrait, numbers: Numbers) -> float:
    return float(sample(portrait.picture, *portrait.landmarks[numbers].T).mean())


def _lid_line(landmarks: Points, eye: Eye) -> Points:
    """The upper lid as a smooth curve from the outer corner to the inner one: shape (54, 2)."""
    points = landmarks[[eye.corners[0], *eye.upper, eye.corners[1]]]
    numbers = np.arange(len(points))
    return np.asarray(pchip_interpolate(numbers, points, np.linspace(0, len(points) - 1, 54)))


def _laid(under: Points, over: Points, opacity: Points) -> Points:
    return under + opacity[..., None] * (over - under)


def _between(upper: Points, lower: Points, size: int) -> Points:
    """How far each pixel lies between two curves, (n, 2) each, that run from side to side: (size, size)."""
    y: Points = np.arange(size, dtype=np.float64)[:, None] + 0.5
    x = y.ravel()
    top, bottom = _heights(upper, x, np.inf), _heights(lower, x, -np.inf)
    return np.clip(y - top + 0.5, 0, 1) * np.clip(bottom - y + 0.5, 0, 1)


def _heights(curve: Points, x: Points, outside: float | None = None) -> Points:
    """Where a curve is at x; beyond its ends as there, or ``outside``."""
    curve = curve[curve[:, 0].argsort()]
    return np.interp(x, curve[:, 0], curve[:, 1], outside, outside)
