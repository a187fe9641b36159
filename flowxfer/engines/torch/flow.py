"""A Glow's two directions in PyTorch: a float64 state around coupling nets in fewer bits.

The state is (N, H, W, rows), a row of channels for each pixel: then a 1x1 convolution is one matrix product, half of
the channels are what channels-last kernels read, and the coupling adds in place. Rows lie as in
:mod:`flowxfer.bundle.layout`, in natural units: the squeezed [x, 1] or, inside a level, [z1, 1, z2].

A net sees z1 rounded to a grid. Both directions hold the same z1 to some 1e-12, so they round it to the very same
numbers, the net gives the very same answer, and the round trip is exact whatever the net's own precision is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flowxfer.bundle import PRECISIONS, LatentKind, Precision
from flowxfer.bundle.folded import ROUNDER, Array, Folded, Net
from flowxfer.bundle.layout import Layout, homogeneous
from flowxfer.engines.torch.convolutions import convolution

__all__ = ["Flow"]


class Flow:
    """Computes a Glow in one precision on one device.

    Args:
        model: its folded arrays.
        precision: one of the exact ones.
        device: where to compute.
    """

    def __init__(self, model: Folded, precision: Precision, device: torch.device) -> None:
        self.config = model.config
        self._tensors = _Tensors(device, getattr(torch, PRECISIONS[precision][1]))
        top = self.config.levels - 1
        self._levels = [
            [self._step(model, level, index) for index in range(self.config.depth)] for level in range(top + 1)
        ]
        self._priors = [self._prior(model, level) for level in range(top)]
        mean, logs = model.prior()
        size = self._size(top)
        self._top_mean, self._top_std = (
            self._tensors.state(array.T.reshape(size, size, -1)) for array in (mean, np.exp(logs))
        )

    @torch.inference_mode()
    def encode(self, images: Tensor, bin_width: Tensor, kind: LatentKind) -> list[Tensor]:
        """Map uint8 images (N, S, S, 3) to float64 latents, (N, H, W, C) for each level.

        Args:
            images: on the flow's device.
            bin_width: grey levels per bin, a scalar.
            kind: of the latents.
        """
        grey = (torch.floor(_squeezed(images).double() / bin_width) + 0.5) * bin_width
        x = torch.nn.functional.pad(grey / 256 - 0.5, (0, 1), value=1.0)
        latents = []
        for level, steps in enumerate(self._levels):
            for step in steps:
                x = _product(x, step.forward)
                self._couple(step, *self._halves(level, x), inverse=False)
            z1, z2 = self._halves(level, x)
            if level < len(self._priors):
                latents.append(z2 if kind == "raw" else self._priors[level].standardise(z1, z2))
                x = _squeezed(z1)
        z = torch.cat([z1[..., :-1], z2], -1)
        latents.append(z if kind == "raw" else (z - self._top_mean) / self._top_std)
        return latents

    @torch.inference_mode()
    def decode(self, latents: list[Tensor], bin_width: Tensor, kind: LatentKind) -> Tensor:
        """Map float64 latents, (N, H, W, C) for each level, to uint8 images (N, S, S, 3)."""
        z = latents[-1] if kind == "raw" else latents[-1] * self._top_std + self._top_mean
        z1, z2 = z.chunk(2, -1)
        z1 = torch.nn.functional.pad(z1, (0, 1), value=1.0)
        for level in reversed(range(len(self._levels))):
            x = torch.cat([z1, z2], -1)
            for step in reversed(self._levels[level]):
                self._couple(step, *self._halves(level, x), inverse=True)
                x = _product(x, step.inverse)
            if level:
                z1, z2 = _unsqueezed(x), latents[level - 1]
                if kind == "eps":
                    z2 = self._priors[level - 1].destandardise(z1, z2)
        bins = torch.floor((_unsqueezed(x) * 256 + 128) / bin_width)
        return (bins * bin_width).clamp(0, 255).to(torch.uint8)

    def _couple(self, step: _Step, z1: Tensor, z2: Tensor, *, inverse: bool) -> None:
        """Apply a coupling to z2, in place."""
        h = step.net(z1)
        if self.config.coupling == "additive":
            (z2.sub_ if inverse else z2.add_)(h)
            return
        shift, h = h.chunk(2, -1)
        scale = torch.sigmoid(h)
        if inverse:
            z2.div_(scale).sub_(shift)
        else:
            z2.add_(shift).mul_(scale)

    def _halves(self, level: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """[z1, 1] and z2 as views of a state."""
        first = self.config.level_channels[level] // 2 + 1
        return x[..., :first], x[..., first:]

    def _step(self, model: Folded, level: int, index: int) -> _Step:
        channels = self.config.level_channels[level]
        inner = Layout.halves(channels)
        entry = inner if index else Layout.squeezed(channels) if level else Layout.pixels()
        affine = model.step(level, index)
        backwards = homogeneous(affine.inverse(), inner, entry)
        if level == index == 0:
            backwards = backwards[list(entry.channels)]  # a picture has no row of ones
        return _Step(
            forward=self._tensors.state(homogeneous(affine, entry, inner).T),
            inverse=self._tensors.state(backwards.T),
            net=_CouplingNet(model.net(level, index, 1.0), self._tensors),
        )

    def _prior(self, model: Folded, level: int) -> _Prior:
        return _Prior(*model.split(level, 1.0), self._size(level), self._tensors)

    def _size(self, level: int) -> int:
        return self.config.image_size >> (level + 1)


@dataclass(frozen=True)
class _Tensors:
    """Turns arrays into tensors of the state and of the nets."""

    device: torch.device
    dtype: torch.dtype

    def state(self, array: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float64)).to(self.device)

    def net(self, array: npt.NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, self.dtype)


@dataclass(frozen=True)
class _Step:
    """One step of flow: the matrices that rows are multiplied by from the right, and the coupling's net."""

    forward: Tensor
    inverse: Tensor
    net: _CouplingNet


class _CouplingNet:
    """A coupling net, of [z1, 1] (N, H, W, n + 1) to (N, H, W, outputs), both float64."""

    def __init__(self, net: Net, tensors: _Tensors) -> None:
        self._dtype, size = tensors.dtype, net.map3.shape[2]
        self._map3 = tensors.state(net.map3[0].transpose(1, 2, 0))
        self._convolutions = (
            convolution(tensors.net(net.conv1), tensors.net(net.bias1), size, relu=True),
            convolution(tensors.net(net.conv2), tensors.net(net.bias2), size, relu=True),
            convolution(tensors.net(net.conv3), None, size),
        )

    def __call__(self, z1: Tensor) -> Tensor:
        h = _image(z1, self._dtype)
        for convolve in self._convolutions:
            h = convolve(h)
        return self._map3 + h.permute(0, 2, 3, 1)


class _Prior:
    """A split's prior; its one convolution is float32 in every precision, for its errors would show in the latents."""

    def __init__(self, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], size: int, tensors: _Tensors):
        weights, biases = (torch.from_numpy(array).to(tensors.device) for array in (weight, bias))
        self._convolve = convolution(weights, biases, size)

    def standardise(self, z1: Tensor, z2: Tensor) -> Tensor:
        mean, std = self._mean_and_std(z1)
        return (z2 - mean) / std

    def destandardise(self, z1: Tensor, eps: Tensor) -> Tensor:
        mean, std = self._mean_and_std(z1)
        return eps * std + mean

    def _mean_and_std(self, z1: Tensor) -> tuple[Tensor, Tensor]:
        mean, logs = self._convolve(_image(z1, torch.float32)).permute(0, 2, 3, 1).double().chunk(2, -1)
        return mean, torch.exp(logs)


def _image(z1: Tensor, dtype: torch.dtype) -> Tensor:
    """Rows on the grid that nets see, (N, H, W, C), as an image (N, C, H, W) in channels-last memory."""
    return (z1 + ROUNDER).sub_(ROUNDER).to(dtype).permute(0, 3, 1, 2)


def _product(x: Tensor, matrix: Tensor) -> Tensor:
    """Multiply every pixel's row by a matrix from the right."""
    return (x.reshape(-1, x.shape[-1]) @ matrix).view(*x.shape[:-1], -1)


def _squeezed(x: Tensor) -> Tensor:
    """(N, H, W, C) to (N, H/2, W/2, 4C), channel ``c·4 + dy·2 + dx``."""
    n, height, width, channels = x.shape
    blocks = x.reshape(n, height // 2, 2, width // 2, 2, channels)
    return blocks.permute(0, 1, 3, 5, 2, 4).reshape(n, height // 2, width // 2, 4 * channels)


def _unsqueezed(x: Tensor) -> Tensor:
    """The inverse of :func:`_squeezed`."""
    n, height, width, channels = x.shape
    blocks = x.reshape(n, height, width, channels // 4, 2, 2)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(n, 2 * height, 2 * width, channels // 4)
