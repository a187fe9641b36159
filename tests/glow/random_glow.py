"""Models whose every weight matters."""

from __future__ import annotations

import torch

from flowxfer.glow import Glow, GlowConfig


def randomize(module, std=0.1):
    """Make no weight zero, and keep 1x1 matrices near rotations."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * std)
    return module


def random_glow(**fields):
    """A small random model in float64."""
    defaults = {"image_size": 8, "levels": 2, "depth": 2, "width": 6}
    return randomize(Glow(GlowConfig(**(defaults | fields))), std=0.05).double().eval()
