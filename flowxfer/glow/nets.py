"""The convolutions inside a coupling, and the normalisation that they share with the flow.

OpenAI's 3x3 convolutions pad with zeros and append a channel that is 1 on the padded ring and 0 inside, so that the
net can tell a border. That equals a convolution with zero padding plus a map that depends on the position only
(:func:`edge_map`), which is what is computed here: the ring's weights are the parameter ``edge``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ActNormScale", "CouplingNet", "EdgeConv2d", "NormalizedConv2d", "edge_map", "pad_with_ring"]


def edge_map(edge: Tensor, height: int, width: int) -> Tensor:
    """What the ring of ones around a height x width field adds: (O, 1, 3, 3) weights to (1, O, height, width)."""
    ring = edge.new_ones(1, 1, height + 2, width + 2)
    ring[:, :, 1:-1, 1:-1] = 0
    return functional.conv2d(ring, edge)


def pad_with_ring(x: Tensor) -> Tensor:
    """Pad (N, C, H, W) with a ring of zeros, and append the channel that is 1 on it: (N, C + 1, H + 2, W + 2)."""
    ring = x.new_ones(1, 1, x.shape[2] + 2, x.shape[3] + 2)
    ring[:, :, 1:-1, 1:-1] = 0
    return torch.cat([functional.pad(x, (1, 1, 1, 1)), ring.expand(len(x), -1, -1, -1)], 1)


class ActNormScale(nn.Module):
    """The parameters of ``(x + bias) · exp(3 · logs)`` and their data-dependent initialisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))
        self.logs = nn.Parameter(torch.zeros(channels))
        self.initializing = False

    def scale(self) -> Tensor:
        """``exp(3 · logs)``, (C,)."""
        return torch.exp(3 * self.logs)

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """While initialising, take bias and logs from (N, C, H, W) ``x``, so that it leaves with mean 0, variance 1."""
        if self.initializing:
            self.bias.copy_(-x.mean((0, 2, 3)))
            self.logs.copy_(-torch.log(x.std((0, 2, 3), correction=0) + 1e-6) / 3)


class NormalizedConv2d(nn.Module):
    """A convolution and its ActNorm; the normalisation scales the weights instead of the larger output.

    Args:
        kernel_size: 3, with zero padding and edge weights, or 1.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size) * 0.05)
        if kernel_size == 3:
            self.edge = nn.Parameter(torch.zeros(out_channels, 1, 3, 3))
        self.actnorm = ActNormScale(out_channels)
        self.padding = kernel_size // 2

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        weight: Tensor = self.weight
        if self.padding:  # the input is the narrow side: a channel more there is cheaper than a map added to the output
            x, weight = pad_with_ring(x), torch.cat([weight, self.edge], 1)
        if self.actnorm.initializing:
            self.actnorm.observe(functional.conv2d(x, weight))
        scale = self.actnorm.scale()
        return functional.conv2d(x, weight * scale[:, None, None, None], self.actnorm.bias * scale)


class EdgeConv2d(nn.Module):
    """OpenAI's zero-initialised 3x3 convolution, ``(conv(x) + bias) · exp(3 · logs)``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_channels, in_channels, 3, 3))
        self.edge = nn.Parameter(torch.zeros(out_channels, 1, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.logs = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        scale = torch.exp(3 * self.logs)
        field = edge_map(self.edge, x.shape[2], x.shape[3]) * scale[:, None, None]
        y = functional.conv2d(x, self.weight * scale[:, None, None, None], self.bias * scale, padding=1)
        return y + field.to(y.dtype)


class CouplingNet(nn.Module):
    """3x3, ReLU, 1x1, ReLU, 3x3: the net that conditions a coupling.

    ``precision`` set to ``torch.bfloat16`` or ``torch.float16`` runs the net in it by autocast, while the flow's state
    around it stays as it is.
    """

    def __init__(self, in_channels: int, width: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = NormalizedConv2d(in_channels, width, 3)
        self.conv2 = NormalizedConv2d(width, width, 1)
        self.conv3 = EdgeConv2d(width, out_channels)
        self.precision: torch.dtype | None = None
        # The variance that keeps a ReLU net's activations at their scale, where ActNorm's initialisation was not run.
        nn.init.normal_(self.conv1.weight, std=math.sqrt(2 / (9 * in_channels)))
        nn.init.normal_(self.conv2.weight, std=math.sqrt(2 / width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W), in the dtype of ``x``."""
        with torch.autocast(x.device.type, dtype=self.precision, enabled=self.precision is not None):
            h = functional.relu(self.conv1(x), inplace=True)
            h = functional.relu(self.conv2(h), inplace=True)
            y: Tensor = self.conv3(h)
            return y.to(x.dtype)
