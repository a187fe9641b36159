"""Glow in PyTorch with everything folded that can be: what a patient user gets out of PyTorch itself.

ActNorm goes into the 1x1 matrices and, with its scales, into the weights of the nets; inverses are taken beforehand, in
float64; the edge channel becomes a map that depends on the position, and squeezes are PyTorch's own. ``torch.compile``
and the exporter are given this module too.
"""

from __future__ import annotations

from typing import Any, cast

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from flowxfer.bundle.folded import Affine, Array32
from flowxfer.export.folding import fold_net, fold_prior, fold_split, fold_step
from flowxfer.glow import Glow
from flowxfer.glow.model import LatentKind, Step
from flowxfer.glow.nets import edge_map

from .eager import with_edge

__all__ = ["ConcatStep", "FoldedGlow", "FoldedStep"]


class _Linear(nn.Module):
    """An affine map of the channels."""

    def __init__(self, affine: Affine) -> None:
        super().__init__()
        self.weight = _parameter(affine.matrix[:, :, None, None])
        self.bias = _parameter(affine.bias)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight, self.bias)


class _EdgeConv(nn.Module):
    """A 3x3 convolution and the map of its edge and bias, from weights with the constant channel last."""

    def __init__(self, weight: Array32, bias: Array32, size: int) -> None:
        super().__init__()
        edge = -torch.from_numpy(weight[:, -1:].copy()).double()
        inner = torch.from_numpy(bias).double() - edge.sum((1, 2, 3))
        self.weight = _parameter(weight[:, :-1])
        self.map = nn.Parameter((edge_map(edge, size, size) + inner[:, None, None]).float())

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight, padding=1) + self.map


class FoldedStep(nn.Module):
    """A step; both its affine maps, and the coupling net on maps of a known size."""

    def __init__(self, step: Step, size: int, affine_coupling: bool) -> None:
        super().__init__()
        linear = fold_step(step)
        self.linear, self.inverse_linear = _Linear(linear), _Linear(linear.inverse())
        net = fold_net(step, size, size, 1.0)
        self.conv1 = _EdgeConv(net.conv1, net.bias1, size)
        self.weight2, self.bias2 = _parameter(net.conv2), _parameter(net.bias2)
        self.weight3, self.map3 = _parameter(net.conv3), _parameter(net.map3)
        self.affine = affine_coupling

    def net(self, x: Tensor) -> Tensor:
        """The coupling net."""
        h = functional.relu(self.conv1(x))
        h = functional.relu(functional.conv2d(h, self.weight2, self.bias2))
        return functional.conv2d(h, self.weight3, padding=1) + self.map3

    def forward(self, x: Tensor) -> Tensor:
        """One step of encoding."""
        x1, x2 = self.linear(x).chunk(2, 1)
        h = self.net(x1)
        if not self.affine:
            return torch.cat([x1, x2 + h], 1)
        shift, scale = h.chunk(2, 1)
        return torch.cat([x1, (x2 + shift) * torch.sigmoid(scale)], 1)

    def inverse(self, y: Tensor) -> Tensor:
        """One step of decoding."""
        y1, y2 = y.chunk(2, 1)
        h = self.net(y1)
        if self.affine:
            shift, scale = h.chunk(2, 1)
            y2 = y2 / torch.sigmoid(scale) - shift
        else:
            y2 = y2 - h
        return cast(Tensor, self.inverse_linear(torch.cat([y1, y2], 1)))


class ConcatStep(FoldedStep):
    """The same with the edge channel concatenated, as ports have it: shows what the maps gain."""

    def __init__(self, step: Step, size: int, affine_coupling: bool) -> None:
        super().__init__(step, size, affine_coupling)
        net = fold_net(step, size, size, 1.0)
        conv1 = torch.from_numpy(net.conv1).clone()
        conv1[:, -1:] *= -1
        self.weight1 = nn.Parameter(conv1)
        self.bias1 = nn.Parameter(torch.from_numpy(net.bias1) + torch.from_numpy(net.conv1)[:, -1:].sum((1, 2, 3)))
        scale = torch.exp(3 * step.coupling.net.conv3.logs.detach())[:, None, None, None]
        edge, bias = (
            step.coupling.net.conv3.edge.detach() * scale,
            step.coupling.net.conv3.bias.detach() * scale[:, 0, 0, 0],
        )
        if affine_coupling:
            order = [*range(0, len(edge), 2), *range(1, len(edge), 2)]
            edge, bias = edge[order], bias[order] + (torch.arange(len(bias)) >= len(bias) // 2) * 2.0
        self.weight3 = nn.Parameter(torch.cat([self.weight3.detach(), edge.float()], 1))
        self.bias3 = nn.Parameter(bias.float())

    def net(self, x: Tensor) -> Tensor:
        """The coupling net."""
        h = functional.relu(functional.conv2d(with_edge(x), self.weight1, self.bias1))
        h = functional.relu(functional.conv2d(h, self.weight2, self.bias2))
        return functional.conv2d(with_edge(h), self.weight3, self.bias3)


class FoldedGlow(nn.Module):
    """A folded Glow for images of its configured size.

    Args:
        glow: the model.
        kind: of the latents.
        step: the class of its steps.
    """

    def __init__(self, glow: Glow, kind: LatentKind, step: type[FoldedStep] = FoldedStep) -> None:
        super().__init__()
        config = glow.config
        self.eps = kind == "eps"
        sizes = [config.image_size >> (level + 1) for level in range(config.levels)]
        affine = config.coupling == "affine"
        self.levels = nn.ModuleList(
            nn.ModuleList(step(own, size, affine) for own in glow.steps(level)) for level, size in enumerate(sizes)
        )
        self.priors = nn.ModuleList(
            _EdgeConv(*fold_split(glow.split(level), 1.0), sizes[level]) for level in range(config.levels - 1)
        )
        mean, logs = fold_prior(glow.prior, sizes[-1], sizes[-1])
        shape = (1, -1, sizes[-1], sizes[-1])
        self.top_mean, self.top_logs = _parameter(mean.reshape(shape)), _parameter(logs.reshape(shape))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Images (N, 3, H, W) in (−0.5, 0.5) to latents."""
        latents = []
        for level, steps in enumerate(self.levels):
            x = functional.pixel_unshuffle(x, 2)
            for step in cast(nn.ModuleList, steps):
                x = step(x)
            z = x
            if level < len(self.priors):
                x, z = x.chunk(2, 1)
            if self.eps:
                mean, logs = self._prior(level, x)
                z = (z - mean) * torch.exp(-logs)
            latents.append(z)
        return latents

    def decode(self, latents: list[Tensor]) -> Tensor:
        """Latents to images."""
        x = latents[-1]
        if self.eps:
            x = self.top_mean + torch.exp(self.top_logs) * x
        for level in reversed(range(len(self.levels))):
            if level < len(self.priors):
                z = latents[level]
                if self.eps:
                    mean, logs = self._prior(level, x)
                    z = mean + torch.exp(logs) * z
                x = torch.cat([x, z], 1)
            for step in reversed(list(cast(nn.ModuleList, self.levels[level]))):
                x = cast(FoldedStep, step).inverse(x)
            x = functional.pixel_shuffle(x, 2)
        return x

    def _prior(self, level: int, x: Tensor) -> tuple[Tensor, Tensor]:
        if level == len(self.priors):
            return self.top_mean, self.top_logs
        mean, logs = self.priors[level](x).chunk(2, 1)
        return mean, logs


def _parameter(array: npt.NDArray[Any]) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(array.copy()).float())
