"""Synthetic people: heads from anny, painted and photographed by a small renderer of our own (extra ``synth``)."""

from flowxfer.synth.expressions import (
    ACTIONS,
    HELD_OUT_ACTIONS,
    HELD_OUT_NAMES,
    NAMED,
    NEUTRAL,
    TRAINING_NAMES,
    blend,
    expression,
    gaze,
)
from flowxfer.synth.people import Person
from flowxfer.synth.projection import EYES, Window
from flowxfer.synth.renderer import Sitter, render, render_frame
from flowxfer.synth.scene import Background, Camera, Light

__all__ = [
    "ACTIONS",
    "EYES",
    "HELD_OUT_ACTIONS",
    "HELD_OUT_NAMES",
    "NAMED",
    "NEUTRAL",
    "TRAINING_NAMES",
    "Background",
    "Camera",
    "Light",
    "Person",
    "Sitter",
    "Window",
    "blend",
    "expression",
    "gaze",
    "render",
    "render_frame",
]
