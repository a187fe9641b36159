"""Glow in PyTorch as published ports write it: every layer for itself, and matrices inverted when they are needed.

ActNorm is an operation of its own, the edge channel is concatenated to every input of a 3x3 convolution, and a 1x1
convolution takes its inverse (in float64, as careful ports do) at every call. Log-determinants are left out, and
gradients too. The numbers are those of :mod:`flowxfer.glow`, whose weights it holds; a test says so.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from flowxfer.glow import Glow
from flowxfer.glow.layers import AffineCoupling, Split, TopPrior
from flowxfer.glow.model import LatentKind, Step
from flowxfer.glow.nets import ActNormScale, EdgeConv2d, NormalizedConv2d

__all__ = ["EagerGlow", "FixedConv1x1", "InvertibleConv1x1", "with_edge"]


class ActNorm(nn.Module):
    """``(x + bias) · exp(3 · logs)`` per channel."""

    def __init__(self, norm: ActNormScale) -> None:
        super().__init__()
        self.bias = nn.Parameter(norm.bias.detach()[None, :, None, None].clone())
        self.logs = nn.Parameter(norm.logs.detach()[None, :, None, None].clone())

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        return (x + self.bias) * torch.exp(self.logs * 3)

    def inverse(self, y: Tensor) -> Tensor:
        """Undo it."""
        return y * torch.exp(-self.logs * 3) - self.bias


class InvertibleConv1x1(nn.Module):
    """A matrix on the channels, inverted at every call."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(matrix.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Multiply."""
        return functional.conv2d(x, self.weight[:, :, None, None])

    def inverse(self, y: Tensor) -> Tensor:
        """Multiply by the inverse."""
        inverse = torch.inverse(self.weight.double()).to(y.dtype)
        return functional.conv2d(y, inverse[:, :, None, None])


class FixedConv1x1(InvertibleConv1x1):
    """The same with its inverse taken beforehand, which an exporter needs: ONNX has no matrix inverse."""

    fixed: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__(matrix)
        self.register_buffer("fixed", torch.inverse(matrix.detach().double()).to(matrix.dtype))

    def inverse(self, y: Tensor) -> Tensor:
        """Multiply by the inverse."""
        return functional.conv2d(y, self.fixed[:, :, None, None])


def with_edge(x: Tensor) -> Tensor:
    """Pad (N, C, H, W) by a ring, and append the channel that is 1 on it."""
    ring = functional.pad(torch.zeros_like(x[:, :1]), (1, 1, 1, 1), value=1.0)
    return torch.cat([functional.pad(x, (1, 1, 1, 1)), ring], 1)


class Conv(nn.Module):
    """A convolution and its ActNorm."""

    def __init__(self, conv: NormalizedConv2d) -> None:
        super().__init__()
        weight = torch.cat([conv.weight, conv.edge], 1) if conv.padding else conv.weight
        self.weight = nn.Parameter(weight.detach().clone())
        self.actnorm = ActNorm(conv.actnorm)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        if self.weight.shape[2] == 3:
            x = with_edge(x)
        return cast(Tensor, self.actnorm(functional.conv2d(x, self.weight)))


class ZeroConv(nn.Module):
    """OpenAI's zero-initialised 3x3 convolution."""

    def __init__(self, conv: EdgeConv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.cat([conv.weight, conv.edge], 1).detach().clone())
        self.bias = nn.Parameter(conv.bias.detach()[None, :, None, None].clone())
        self.logs = nn.Parameter(conv.logs.detach()[None, :, None, None].clone())

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        return (functional.conv2d(with_edge(x), self.weight) + self.bias) * torch.exp(self.logs * 3)


class EagerStep(nn.Module):
    """ActNorm, 1x1 convolution, coupling."""

    def __init__(self, step: Step, mixing: type[InvertibleConv1x1]) -> None:
        super().__init__()
        self.actnorm, self.conv1x1 = ActNorm(step.actnorm), mixing(step.conv1x1.matrix())
        self.affine = isinstance(step.coupling, AffineCoupling)
        net = step.coupling.net
        self.conv1, self.conv2, self.conv3 = Conv(net.conv1), Conv(net.conv2), ZeroConv(net.conv3)

    def net(self, x: Tensor) -> Tensor:
        """The coupling net."""
        h = functional.relu(self.conv1(x))
        return cast(Tensor, self.conv3(functional.relu(self.conv2(h))))

    def forward(self, x: Tensor) -> Tensor:
        """One step of encoding."""
        x1, x2 = self.conv1x1(self.actnorm(x)).chunk(2, 1)
        h = self.net(x1)
        if not self.affine:
            return torch.cat([x1, x2 + h], 1)
        return torch.cat([x1, (x2 + h[:, 0::2]) * torch.sigmoid(h[:, 1::2] + 2)], 1)

    def inverse(self, y: Tensor) -> Tensor:
        """One step of decoding."""
        y1, y2 = y.chunk(2, 1)
        h = self.net(y1)
        x2 = y2 / torch.sigmoid(h[:, 1::2] + 2) - h[:, 0::2] if self.affine else y2 - h
        return self.actnorm.inverse(self.conv1x1.inverse(torch.cat([y1, x2], 1)))


class Prior(nn.Module):
    """Mean and log standard deviation of the half that leaves, from the half that stays."""

    def __init__(self, split: Split) -> None:
        super().__init__()
        self.conv = ZeroConv(split.conv)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Each (N, C, H, W)."""
        h = self.conv(x)
        return h[:, 0::2], h[:, 1::2]


class Top(nn.Module):
    """The top prior, a convolution of zeros of which the edge channel alone is seen."""

    def __init__(self, prior: TopPrior) -> None:
        super().__init__()
        self.edge = nn.Parameter(prior.edge.detach().clone())
        self.bias = nn.Parameter(prior.bias.detach()[None, :, None, None].clone())
        self.logs = nn.Parameter(prior.logs.detach()[None, :, None, None].clone())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Each (N, C, H, W)."""
        h = functional.conv2d(with_edge(x[:, :1])[:, 1:], self.edge)
        mean, logs = ((h + self.bias) * torch.exp(self.logs * 3)).chunk(2, 1)
        return mean, logs


def squeeze(x: Tensor) -> Tensor:
    """Space to channels."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(n, 4 * c, h // 2, w // 2)


def unsqueeze(x: Tensor) -> Tensor:
    """Channels to space."""
    n, c, h, w = x.shape
    return x.reshape(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c // 4, 2 * h, 2 * w)


class EagerGlow(nn.Module):
    """The weights of a Glow in these layers.

    Args:
        glow: the model.
        kind: of the latents.
        mixing: the 1x1 convolution's class.
    """

    def __init__(self, glow: Glow, kind: LatentKind, mixing: type[InvertibleConv1x1] = InvertibleConv1x1) -> None:
        super().__init__()
        self.kind = kind
        self.levels = nn.ModuleList(
            nn.ModuleList(EagerStep(step, mixing) for step in glow.steps(level)) for level in range(glow.config.levels)
        )
        self.priors = nn.ModuleList(Prior(glow.split(level)) for level in range(glow.config.levels - 1))
        self.top = Top(glow.prior)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Images (N, 3, H, W) in (−0.5, 0.5) to latents."""
        latents = []
        for level, steps in enumerate(self.levels):
            x = squeeze(x)
            for step in cast(nn.ModuleList, steps):
                x = step(x)
            if level < len(self.priors):
                x, z = x.chunk(2, 1)
                latents.append(self._standardised(self.priors[level](x), z))
            else:
                latents.append(self._standardised(self.top(x), x))
        return latents

    def decode(self, latents: list[Tensor]) -> Tensor:
        """Latents to images."""
        x = self._restored(self.top(latents[-1]), latents[-1])
        for level in reversed(range(len(self.levels))):
            if level < len(self.priors):
                x = torch.cat([x, self._restored(self.priors[level](x), latents[level])], 1)
            for step in reversed(list(cast(nn.ModuleList, self.levels[level]))):
                x = cast(EagerStep, step).inverse(x)
            x = unsqueeze(x)
        return x

    def _standardised(self, prior: tuple[Tensor, Tensor], z: Tensor) -> Tensor:
        return (z - prior[0]) * torch.exp(-prior[1]) if self.kind == "eps" else z

    def _restored(self, prior: tuple[Tensor, Tensor], z: Tensor) -> Tensor:
        return prior[0] + torch.exp(prior[1]) * z if self.kind == "eps" else z
