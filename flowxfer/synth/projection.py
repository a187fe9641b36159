"""From the head's decimetres to the pixels of a frame and of the shadow map."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowxfer.synth.head_cache import load_head
from flowxfer.synth.people import Person
from flowxfer.synth.scene import Camera, Light

__all__ = ["EYES", "SHADOW_SIZE", "Window", "eye_centre", "projection", "rotation", "to_shadow_map", "turn"]

EYES = ((0.371, 0.480), (0.629, 0.480))  # where OpenAI's alignment puts them, in widths of the picture
SHADOW_SIZE = 176  # pixels of the shadow map
_SHADOW_SPAN = 3.6  # dm that it covers
_DISTANCE = 14.0  # from the lens to the eyes, dm

Points = NDArray[np.float64]


class Window(NamedTuple):
    """The square of a frame that an aligned picture of the face would fill: its corner and its side in pixels."""

    left: float
    top: float
    side: float


def turn(vectors: Points, matrix: Points) -> Points:
    """``vectors @ matrix.T`` for (n, 3) and (3, 3), without BLAS, whose rounding depends on the CPU."""
    x, y, z = vectors[:, 0:1], vectors[:, 1:2], vectors[:, 2:3]
    return x * matrix[:, 0] + y * matrix[:, 1] + z * matrix[:, 2]


def rotation(camera: Camera) -> Points:
    """Make the head's turn, (3, 3): yaw about the vertical axis, then pitch; the roll is left to the projection."""
    cy, sy, cp, sp = math.cos(camera.yaw), math.sin(camera.yaw), math.cos(camera.pitch), math.sin(camera.pitch)
    return np.array([[cy, 0.0, sy], [sp * sy, cp, -sp * cy], [-cp * sy, sp, cp * cy]])


def eye_centre(person: Person) -> Points:
    """Find the point between the resting eyeballs, (3,), around which the head turns."""
    left, right = load_head().eyes
    return np.asarray((person.rest[left].mean(0) + person.rest[right].mean(0)) / 2)


def projection(person: Person, camera: Camera, window: Window) -> Callable[[Points], Points]:
    """Make the map from turned points (n, 3), measured from `eye_centre`, to pixels and depth (n, 3).

    It is a perspective, followed by the similarity that puts the resting eyes on `EYES` of the window.
    """
    eyes = np.stack([person.rest[eye].mean(0) for eye in load_head().eyes[::-1]])  # the picture's left one first
    eyes = turn(eyes - eye_centre(person), rotation(camera))
    flat = eyes[:, :2] * (_DISTANCE / (_DISTANCE - eyes[:, 2:])) * np.array([1.0, -1.0])
    span, middle, goal = flat[1] - flat[0], flat.mean(0), np.array(EYES)
    scale = (goal[1, 0] - goal[0, 0]) / math.hypot(span[0], span[1]) * camera.zoom
    angle = camera.roll - math.atan2(span[1], span[0])
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    anchor = goal.mean(0) + np.array([camera.dx, camera.dy])

    def project(points: Points) -> Points:
        near = _DISTANCE / (_DISTANCE - points[:, 2])
        x, y = points[:, 0] * near - middle[0], -points[:, 1] * near - middle[1]
        across = (c * x - s * y + anchor[0]) * window.side + window.left
        down = (s * x + c * y + anchor[1]) * window.side + window.top
        return np.stack([across, down, -points[:, 2]], axis=1)

    return project


def to_shadow_map(points: Points, light: Light) -> Points:
    """Map turned points (n, 3), measured from `eye_centre`, to the key light's pixels and depth (n, 3)."""
    key = np.array(light.key)
    side = np.array([key[2], 0.0, -key[0]])
    side /= math.sqrt(float(side @ side))
    up = np.array([key[1] * side[2], key[2] * side[0] - key[0] * side[2], -key[1] * side[0]])
    seen = turn(points + np.array([0.0, 0.1, 0.5]), np.stack([side, up, -key]))
    seen[:, :2] = seen[:, :2] * (SHADOW_SIZE / _SHADOW_SPAN) + SHADOW_SIZE / 2
    return seen
