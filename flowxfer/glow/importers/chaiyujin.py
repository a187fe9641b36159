"""Weights of https://github.com/chaiyujin/glow-pytorch, whose arithmetic is that of its commit 487a6b1.

This file converts what differs from OpenAI's: it sees a grey level u as u/255; its ActNorm is
``(x + bias) · exp(logs)``; and its convolutions have no edge indicator. Latents and pictures are the port's;
``log_prob`` is log2(256/255) = 0.0056 bits above it, because a grey level is 1/256 wide here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from flowxfer.bundle.config import GlowConfig
from flowxfer.errors import WeightsError
from flowxfer.glow.importers.ports import Factors, prior_of_zeros
from flowxfer.glow.importers.source import Source, configuration, count

__all__ = ["import_state", "is_source"]

State = dict[str, Tensor]


def is_source(weights: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is this source's."""
    return "flow.layers.1.actnorm.bias" in weights


def import_state(
    weights: Mapping[str, Tensor], *, image_size: int | None, bits: int | None, origin: str
) -> tuple[GlowConfig, State]:
    """The configuration and the weights of a state dict.

    ``prior_h`` tells the image size. The bits are 8, because its training adds noise for 256 grey levels.

    Raises:
        WeightsError: a weight is missing, has another shape or is not understood; the message lists them all. A model
            with ``flow_permutation`` "shuffle" or "reverse" is refused because the file says neither which of them it
            is nor the order of the channels, and one with ``y_condition`` because its prior depends on the class.
    """
    source = Source(weights, origin)
    if conditioning := sorted(name for name in weights if name.startswith("project_")):
        source.refuse(f"class conditioning, which Glow here does not have: {', '.join(conditioning)}")
        source.ignore(conditioning)
    if "flow.layers.1.invconv.weight" not in weights and "flow.layers.1.invconv.l" not in weights:
        raise WeightsError(
            f'expected a model with flow_permutation "invconv" in {origin}, got one without flow.layers.1.invconv; the'
            ' files of "shuffle" and "reverse" do not hold the order of the channels'
        )
    # Layer 0 squeezes, layers 1 to depth are steps, the next one splits, and so on.
    depth = count(weights, "flow.layers.{}.actnorm.bias", start=1)
    levels = 1 + next(i for i in itertools.count() if f"{_split(i, depth)}.weight" not in weights)
    height, width = (source.size("prior_h", axis) for axis in (2, 3))
    config = configuration(
        source,
        image_size=image_size or (height << levels if height == width else None),
        bits=bits or 8,
        levels=levels,
        depth=depth,
        width=source.size("flow.layers.1.f.0.weight", 0),
        additive=source.size("flow.layers.1.f.4.weight", 0) == 6,
        learned_prior="learn_top.weight" in weights,
        lu="flow.layers.1.invconv.l" in weights,
    )
    state: State = {}
    for level, channels in enumerate(config.level_channels):
        for step in range(depth):
            layer = f"flow.layers.{level * (depth + 2) + 1 + step}"
            state |= _step(source, layer, f"levels.{level}.{step}", channels, config)
        if level < levels - 1:
            state |= _zeros_conv(source, _split(level, depth), f"splits.{level}.conv", channels // 2, channels)
    state |= _prior(source, config)
    _absorb_pixels(state)
    source.close()
    return config, state


def _split(level: int, depth: int) -> str:
    return f"flow.layers.{(level + 1) * (depth + 2) - 1}.conv"


def _absorb_pixels(state: State) -> None:
    """Let the first ActNorm see u/255 where it is given ``y = (u + 0.5) / 256 − 0.5``, so ``y · 256/255 + 0.5``."""
    ratio = 256 / 255
    state["levels.0.0.actnorm.bias"] = (state["levels.0.0.actnorm.bias"] + 0.5) / ratio
    state["levels.0.0.actnorm.logs"] = state["levels.0.0.actnorm.logs"] + math.log(ratio) / 3


def _step(source: Source, theirs: str, ours: str, channels: int, config: GlowConfig) -> State:
    half, width = channels // 2, config.width
    f, net = f"{theirs}.f", f"{ours}.coupling.net"
    return {
        **_actnorm(source, f"{theirs}.actnorm", f"{ours}.actnorm", channels),
        **_conv1x1(source, f"{theirs}.invconv", f"{ours}.conv1x1", channels, lu=config.lu),
        f"{net}.conv1.weight": source.take(f"{f}.0.weight", width, half, 3, 3),
        f"{net}.conv1.edge": torch.zeros(width, 1, 3, 3),
        **_actnorm(source, f"{f}.0.actnorm", f"{net}.conv1.actnorm", width),
        f"{net}.conv2.weight": source.take(f"{f}.2.weight", width, width, 1, 1),
        **_actnorm(source, f"{f}.2.actnorm", f"{net}.conv2.actnorm", width),
        **_zeros_conv(source, f"{f}.4", f"{net}.conv3", width, half if config.coupling == "additive" else channels),
    }


def _actnorm(source: Source, theirs: str, ours: str, channels: int) -> State:
    return {
        f"{ours}.bias": source.take(f"{theirs}.bias", 1, channels, 1, 1).flatten(),
        f"{ours}.logs": source.take(f"{theirs}.logs", 1, channels, 1, 1).flatten() / 3,
    }


def _conv1x1(source: Source, theirs: str, ours: str, channels: int, *, lu: bool) -> State:
    square = (channels, channels)
    if not lu:
        return {f"{ours}.weight": source.take(f"{theirs}.weight", *square)}
    factors = Factors(
        permutation=source.take(f"{theirs}.p", *square),
        lower=source.take(f"{theirs}.l", *square),
        upper=source.take(f"{theirs}.u", *square),
        sign=source.take(f"{theirs}.sign_s", channels),
        log_s=source.take(f"{theirs}.log_s", channels),
    )
    return factors.state(ours)


def _zeros_conv(source: Source, theirs: str, ours: str, inputs: int, outputs: int) -> State:
    return {
        f"{ours}.weight": source.take(f"{theirs}.weight", outputs, inputs, 3, 3),
        f"{ours}.edge": torch.zeros(outputs, 1, 3, 3),
        f"{ours}.bias": source.take(f"{theirs}.bias", outputs),
        f"{ours}.logs": source.take(f"{theirs}.logs", outputs, 1, 1).flatten(),
    }


def _prior(source: Source, config: GlowConfig) -> State:
    """The top prior, and what the file holds beside the flow."""
    channels = config.level_channels[-1]
    zeros = source.take("prior_h", *(source.size("prior_h", axis) for axis in range(4)))
    if not zeros.is_meta and zeros.any():
        source.refuse("not understood: prior_h, which should be zero")
    if not config.learned_prior:
        return prior_of_zeros(channels)
    conv = _zeros_conv(source, "learn_top", "prior", 2 * channels, 2 * channels)
    del conv["prior.weight"]  # it convolves zeros
    return conv
