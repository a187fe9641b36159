"""Synthetic people: heads from anny, painted and photographed by a small renderer of our own (extra ``synth``)."""

from .expressions import (
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
from .people import Person
from .projection import EYES, Window
from .renderer import Sitter, render, render_frame
from .scene import Background, Camera, Light

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
