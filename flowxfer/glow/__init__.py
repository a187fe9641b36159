"""Glow in PyTorch: layers, model, training, and importers for weights from elsewhere."""

from flowxfer.bundle.config import GlowConfig
from flowxfer.glow.model import Glow
from flowxfer.glow.weights import load, save

__all__ = ["Glow", "GlowConfig", "load", "save"]
