"""Facial expressions: named ones, mixtures of single actions, and what training never sees.

An expression is a float64 vector of 52 weights in [0, 1.1], one per ARKit action in the order of `ACTIONS`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowxfer.directions.arkit import ACTIONS, mirrored
from flowxfer.errors import InputError

__all__ = [
    "ACTIONS",
    "HELD_OUT_ACTIONS",
    "HELD_OUT_NAMES",
    "NAMED",
    "NEUTRAL",
    "TRAINING_NAMES",
    "blend",
    "expression",
    "gaze",
    "mirrored",
    "sample_training",
]

_INDEX = {name: i for i, name in enumerate(ACTIONS)}
NEUTRAL = np.zeros(len(ACTIONS))
NEUTRAL.flags.writeable = False

# A name without a side stands for both sides.
NAMED: dict[str, dict[str, float]] = {
    "smile": {"mouthSmile": 0.95, "cheekSquint": 0.55, "mouthUpperUp": 0.5, "eyeSquint": 0.2, "jawOpen": 0.12,
              "mouthLowerDown": 0.25},
    "open": {"jawOpen": 0.75},
    "surprise": {"jawOpen": 0.5, "browInnerUp": 1.0, "browOuterUp": 1.0, "eyeWide": 1.0, "mouthFunnel": 0.3},
    "anger": {"browDown": 1.0, "mouthFrown": 0.7, "eyeSquint": 0.5, "mouthPress": 0.6, "mouthShrugLower": 0.4},
    "closed": {"eyeBlink": 1.0},
    "pucker": {"mouthPucker": 1.0, "mouthFunnel": 0.2},
    "smirk": {"mouthSmileLeft": 1.0, "mouthDimpleLeft": 0.6, "mouthLeft": 0.35, "cheekSquintLeft": 0.5,
              "browOuterUpRight": 0.6},
    "sadness": {"browInnerUp": 1.0, "mouthFrown": 1.0, "mouthShrugLower": 0.5, "eyeLookDown": 0.3, "eyeBlink": 0.12},
    "disgust": {"noseSneer": 1.0, "mouthUpperUp": 0.6, "browDown": 0.6, "eyeSquint": 0.6, "mouthFrown": 0.3},
    "fear": {"browInnerUp": 1.0, "browOuterUp": 0.4, "eyeWide": 1.0, "mouthStretch": 0.9, "jawOpen": 0.22,
             "mouthLowerDown": 0.3},
    "wink": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.7, "mouthSmileLeft": 0.6, "mouthSmileRight": 0.15},
}  # fmt: skip

# What the training set never shows, so that the evaluation can ask for it: these single actions, and with them the
# named expressions that use one.
HELD_OUT_ACTIONS = tuple(
    name for name in ACTIONS if name.startswith(("noseSneer", "cheekPuff", "mouthRoll", "mouthStretch"))
)
HELD_OUT_NAMES = ("disgust", "fear")
TRAINING_NAMES = tuple(name for name in NAMED if name not in HELD_OUT_NAMES)

_MIRRORED = ("smirk", "wink")  # training shows them on either side
_PAIRED = ("mouthSmile", "mouthFrown", "browDown", "browOuterUp", "eyeBlink", "eyeWide", "eyeSquint", "cheekSquint",
           "mouthUpperUp", "mouthLowerDown", "mouthPress", "mouthDimple")  # fmt: skip
_SINGLE = ("jawOpen", "jawOpen", "browInnerUp", "mouthPucker", "mouthFunnel", "mouthShrugLower", "mouthShrugUpper",
           "jawLeft", "jawRight", "mouthLeft", "mouthRight", "jawForward")  # fmt: skip


def blend(weights: Mapping[str, float]) -> np.ndarray:
    """Make the vector of single actions; a name without its side, such as ``"mouthSmile"``, sets both.

    Raises:
        InputError: an action that anny does not have.
    """
    vector = np.zeros(len(ACTIONS))
    for name, weight in weights.items():
        names = [name] if name in _INDEX else [name + "Left", name + "Right"]
        for side in names:
            if side not in _INDEX:
                raise InputError(f"expected one of the 52 ARKit actions, got {name!r}; expressions.ACTIONS lists them")
            vector[_INDEX[side]] = weight
    return vector


def expression(name: str, *, strength: float = 1.0) -> np.ndarray:
    """Look up a named expression.

    Args:
        name: a key of `NAMED`, or ``"neutral"``.
        strength: factor on every action; 0 is the neutral face.

    Raises:
        InputError: a name that is not in `NAMED`.
    """
    if name == "neutral":
        return NEUTRAL.copy()
    if name not in NAMED:
        raise InputError(f"expected one of {', '.join(('neutral', *NAMED))}, got {name!r}; blend() makes new ones")
    return strength * blend(NAMED[name])


def gaze(right: float, up: float) -> np.ndarray:
    """Turn both eyes: ``right`` (towards the picture's right) and ``up`` in [-1, 1]."""
    weights = {"eyeLookOutLeft": max(right, 0.0), "eyeLookInRight": max(right, 0.0)}
    weights |= {"eyeLookInLeft": max(-right, 0.0), "eyeLookOutRight": max(-right, 0.0)}
    weights |= {"eyeLookUp": max(up, 0.0), "eyeLookDown": max(-up, 0.0)}
    return blend(weights)


def sample_training(rng: np.random.Generator) -> np.ndarray:
    """Draw an expression for training: 45 % named, 25 % mixtures of two named, 30 % random single actions.

    None of `HELD_OUT_ACTIONS` is ever active.
    """
    kind = rng.random()
    if kind < 0.45:
        vector = rng.uniform(0.6, 1.05) * _sample_named(rng)
    elif kind < 0.70:
        share = rng.uniform(0.25, 0.75)
        vector = share * _sample_named(rng) + (1 - share) * _sample_named(rng)
    else:
        vector = np.zeros(len(ACTIONS))
        for _ in range(rng.integers(1, 5)):
            vector += _sample_action(rng)
    if rng.random() < 0.12:
        vector = vector + blend({"eyeBlink": rng.uniform(0, 1)})
    return np.clip(vector, 0.0, 1.05)


def _sample_named(rng: np.random.Generator) -> np.ndarray:
    name = TRAINING_NAMES[rng.integers(len(TRAINING_NAMES))]
    vector = expression(name)
    return mirrored(vector) if name in _MIRRORED and rng.random() < 0.5 else vector


def _sample_action(rng: np.random.Generator) -> np.ndarray:
    strength = rng.uniform(0.35, 1.0)
    if rng.random() < 0.6:
        name = _PAIRED[rng.integers(len(_PAIRED))]
        side = ("", "", "", "", "", "", "Left", "Right")[rng.integers(8)]
        return blend({name + side: strength})
    name = _SINGLE[rng.integers(len(_SINGLE))]
    return blend(
        {name: strength * (0.8 if name.startswith("jaw") else 0.6 if name.endswith(("Left", "Right")) else 1.0)}
    )
