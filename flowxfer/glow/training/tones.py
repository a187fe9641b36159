"""Tones of a photograph: exposure, white balance, gamma and saturation, drawn anew for every person of a step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["PLAIN", "apply_tones", "sample_tones"]

PLAIN = (1.0, 1.0, 1.0, 1.0, 1.0)
"""Factors of red, green and blue, gamma and saturation that change nothing."""

EXPOSURE, BALANCE, GAMMA, SATURATION = 0.2, 0.175, 0.35, 0.4  # greatest change; of gamma, of its logarithm


def sample_tones(rng: np.random.Generator, count: int, share: float) -> NDArray[np.float32]:
    """Draw tones, (count, 5) laid out as :data:`PLAIN`, which all but a ``share`` of them are."""
    exposure = 1 + EXPOSURE * rng.uniform(-1, 1, (count, 1))
    balance = 1 + BALANCE * rng.uniform(-1, 1, (count, 3))
    gamma = np.exp(GAMMA * rng.uniform(-1, 1, (count, 1)))
    saturation = 1 + SATURATION * rng.uniform(-1, 1, (count, 1))
    tones = np.concatenate([exposure * balance, gamma, saturation], 1)
    return np.where(rng.random((count, 1)) < share, tones, PLAIN).astype(np.float32)


def apply_tones(images: Tensor, tones: Tensor) -> Tensor:
    """Give images (N, 3, H, W) in (−0.5, 0.5) the tones (N, 5); the result is clipped to that range."""
    gains, gamma, saturation = tones[:, :3, None, None], tones[:, 3, None, None, None], tones[:, 4, None, None, None]
    x = (images + 0.5) ** gamma * gains
    grey = x.mean(1, keepdim=True)
    return (grey + saturation * (x - grey)).clamp(0, 1) - 0.5
