"""Between uint8 pictures and the interval that a Glow models.

A grey level ``u`` is the bin ``[u, u + 1)``; the model sees the bin's centre, ``(u + 0.5) / 256 − 0.5``. With
``bin_width`` 8, eight levels share a bin, which is OpenAI's handling of 5-bit models.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["bin_width", "from_pixels", "to_pixels"]


def bin_width(bits: int, *, quantize: bool) -> int:
    """Grey levels per bin: 1, or ``2 ** (8 − bits)`` where OpenAI's quantisation is asked for."""
    return 2 ** (8 - bits) if quantize else 1


def from_pixels(images: Tensor, bin_width: int = 1, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 (N, H, W, 3) to (N, 3, H, W) in (−0.5, 0.5), at the centres of the bins."""
    x = images.permute(0, 3, 1, 2).to(dtype)
    return (torch.floor(x / bin_width) + 0.5) * (bin_width / 256) - 0.5


def to_pixels(x: Tensor, bin_width: int = 1) -> Tensor:
    """(N, 3, H, W) to uint8 (N, H, W, 3): the lower edge of the bin that each value falls into."""
    pixels = torch.floor((x + 0.5) * (256 / bin_width)) * bin_width
    return pixels.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
