"""The 52 facial actions of ARKit, which expressions are mixtures of."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

__all__ = ["ACTIONS", "mirrored"]

ACTIONS = (
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "eyeLookDownLeft",
    "eyeLookDownRight",
    "eyeLookInLeft",
    "eyeLookInRight",
    "eyeLookOutLeft",
    "eyeLookOutRight",
    "eyeLookUpLeft",
    "eyeLookUpRight",
    "eyeSquintLeft",
    "eyeSquintRight",
    "eyeWideLeft",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthClose",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthFunnel",
    "mouthLeft",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
)

_SIDES = {"Left": "Right", "Right": "Left"}


def _other_side(name: str) -> str:
    side = next((side for side in _SIDES if name.endswith(side)), "")
    return name.removesuffix(side) + _SIDES.get(side, "")


_MIRROR = [ACTIONS.index(_other_side(name)) for name in ACTIONS]


def mirrored(weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Swap left and right in weights of the actions, (..., 52): those of the face in a mirror."""
    return weights[..., _MIRROR]
