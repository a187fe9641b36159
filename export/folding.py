"""A Glow's layers as the fewest arrays that compute the same, folded in float64.

- ActNorm and the 1x1 convolution are one affine map, ``y = W·diag(s)·(x + b)``. Its inverse is taken here, ahead of
  time. Both are written as one matrix in homogeneous coordinates: the state carries a channel that is constantly 1.
- The same channel tells the first 3x3 convolution where the border is: the edge channel is ``1 − SAME-conv(ones)``, so
  a weight of ``−edge`` on the ones and the bias ``Σ edge`` reproduce it exactly.
- ``exp(3 · logs)`` goes into the weights; the last convolution's edge becomes a map that depends on the position only.

The state of a level with c channels is [z1 (c/2), 1, z2 (c/2)], c + 1 rows. z1 with its 1 conditions the coupling.
``unit`` is what 1.0 is in the state's units, a power of two: the first weights of a net undo it, exactly, and the last
ones restore it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from flowxfer.bundle.config import GlowConfig
from flowxfer.bundle.folded import Affine, Array, Array32, Net
from flowxfer.glow.layers import AffineCoupling, Split, TopPrior
from flowxfer.glow.model import Glow, Step
from flowxfer.glow.nets import EdgeConv2d, NormalizedConv2d, edge_map

__all__ = ["FoldedGlow", "fold_net", "fold_prior", "fold_split", "fold_step"]


@dataclass(frozen=True)
class FoldedGlow:
    """The arrays of a Glow, folded when they are asked for."""

    model: Glow

    @property
    def config(self) -> GlowConfig:
        """The model's architecture."""
        return self.model.config

    def step(self, level: int, index: int) -> Affine:
        """A step's ActNorm and 1x1 convolution, for a state in natural units."""
        return fold_step(self.model.steps(level)[index])

    def net(self, level: int, index: int, unit: float) -> Net:
        """A step's coupling net."""
        size = self.config.image_size >> (level + 1)
        return fold_net(self.model.steps(level)[index], size, size, unit)

    def split(self, level: int, unit: float) -> tuple[Array32, Array32]:
        """A split's convolution, its weights and its bias."""
        return fold_split(self.model.split(level), unit)

    def prior(self) -> tuple[Array, Array]:
        """The top prior's mean and log standard deviation, each (C, H·W), in natural units."""
        size = self.config.image_size >> self.config.levels
        return fold_prior(self.model.prior, size, size)


def fold_step(step: Step) -> Affine:
    """A step's ActNorm and 1x1 convolution as one map."""
    matrix: Array = _array(_double(step.conv1x1).matrix()) * np.exp(3 * _array(step.actnorm.logs))
    bias: Array = matrix @ _array(step.actnorm.bias)
    return Affine(matrix, bias)


def fold_net(step: Step, height: int, width: int, unit: float) -> Net:
    """A step's coupling net on a height x width state; an affine coupling's outputs become [shift, h + 2]."""
    net = step.coupling.net
    conv1, bias1 = _edge_on_ones(net.conv1, net.conv1.actnorm.logs, net.conv1.actnorm.bias, unit)
    scale2 = np.exp(3 * _array(net.conv2.actnorm.logs))
    scale3 = np.exp(3 * _array(net.conv3.logs))
    conv3 = _array(net.conv3.weight) * scale3[:, None, None, None]
    field = _array(edge_map(net.conv3.edge.double(), height, width))[0]
    map3 = (field + _array(net.conv3.bias)[:, None, None]) * scale3[:, None, None]
    shifts = slice(None)
    if isinstance(step.coupling, AffineCoupling):
        order = _deinterleaved(len(conv3))
        conv3, map3 = conv3[order], map3[order]
        shifts = slice(len(order) // 2)
        map3[len(order) // 2 :] += 2
    conv3[shifts] *= unit
    map3[shifts] *= unit
    conv2, bias2 = _array(net.conv2.weight) * scale2[:, None, None, None], _array(net.conv2.actnorm.bias) * scale2
    return Net(*(array.astype(np.float32) for array in (conv1, bias1, conv2, bias2, conv3, map3[None])))


def fold_split(split: Split, unit: float) -> tuple[Array32, Array32]:
    """A split's convolution of [z1, 1]: weights (2n, n + 1, 3, 3), bias (2n,); outputs are the prior's [mean, logs]."""
    weight, bias = _edge_on_ones(split.conv, split.conv.logs, split.conv.bias, unit)
    order, half = _deinterleaved(len(weight)), len(weight) // 2
    weight, bias = weight[order], bias[order]
    weight[:half] *= unit
    bias[:half] *= unit
    bias[half:] += np.log(unit)
    return weight.astype(np.float32), bias.astype(np.float32)


def fold_prior(prior: TopPrior, height: int, width: int) -> tuple[Array, Array]:
    """The top prior's mean and log standard deviation, each (C, H·W)."""
    mean, logs = _double(prior).mean_and_logs(height, width)
    return _array(mean.flatten(1)), _array(logs.flatten(1))


Module = TypeVar("Module", bound=nn.Module)


def _double(module: Module) -> Module:
    return copy.deepcopy(module).double()


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().double().cpu().numpy()
    return array


def _edge_on_ones(conv: NormalizedConv2d | EdgeConv2d, logs: Tensor, bias: Tensor, unit: float) -> tuple[Array, Array]:
    """Scaled weights, for channels in units, with the constant channel's appended; the bias with the ring's sum."""
    scale, edge = np.exp(3 * _array(logs)), _array(conv.edge)
    weight = np.concatenate([_array(conv.weight) / unit, -edge], 1) * scale[:, None, None, None]
    return weight, (_array(bias) + edge.sum((1, 2, 3))) * scale


def _deinterleaved(channels: int) -> npt.NDArray[np.int64]:
    """Even channels first, then the odd ones."""
    return np.concatenate([np.arange(0, channels, 2), np.arange(1, channels, 2)])
