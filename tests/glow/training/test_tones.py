from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from flowxfer.glow.training.tones import PLAIN, apply_tones, sample_tones

GREYS = ((torch.arange(256) + 0.5) / 256 - 0.5).expand(1, 3, 1, 256)


def toned(red: float = 1, green: float = 1, blue: float = 1, gamma: float = 1, saturation: float = 1) -> Tensor:
    return apply_tones(GREYS, torch.tensor([[red, green, blue, gamma, saturation]]))


def test_plain_tones_change_nothing() -> None:
    assert torch.allclose(toned(*PLAIN), GREYS, atol=1e-7)
    assert (sample_tones(np.random.default_rng(0), 50, 0.0) == PLAIN).all()


def test_each_tone_does_its_own() -> None:
    assert torch.allclose(toned(red=0.5) + 0.5, (GREYS + 0.5) * torch.tensor([0.5, 1, 1])[:, None, None], atol=1e-7)
    assert torch.allclose(toned(gamma=2) + 0.5, (GREYS + 0.5) ** 2, atol=1e-7)
    assert torch.allclose(toned(saturation=0.5), GREYS, atol=1e-7)  # a grey stays grey
    assert toned(red=3).max() == 0.5  # and nothing leaves the range of images
    without = toned(red=0.5, saturation=0)
    assert torch.allclose(without, without.mean(1, keepdim=True), atol=1e-7)


def test_drawn_tones_keep_a_picture_a_picture() -> None:
    tones = sample_tones(np.random.default_rng(0), 1000, 1.0)
    assert (tones != 1).all()
    assert tones[:, :3].mean() == pytest.approx(1, abs=0.02)
    assert (tones > 0.6).all()
    assert (tones < 1.5).all()
