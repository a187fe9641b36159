"""Weights of https://github.com/rosinality/glow-pytorch, whose arithmetic is that of its commit 97081ff.

This file converts what differs from OpenAI's: its ActNorm has a scale instead of a logarithm; the hidden convolutions
have a bias and no ActNorm; the last ones pad all their channels with ones; and what they return comes in halves, log
scale before shift and mean before log deviation, where OpenAI interleaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from flowxfer.bundle.config import GlowConfig
from flowxfer.glow.importers.ports import Factors, interleave
from flowxfer.glow.importers.source import Source, configuration, count

__all__ = ["import_state", "is_source"]

State = dict[str, Tensor]

_MASKS: dict[str, Callable[[Tensor], Tensor]] = {
    "l_mask": lambda ones: ones.tril(-1),
    "u_mask": lambda ones: ones.triu(1),
    "l_eye": lambda ones: ones.tril().triu(),
}


def is_source(weights: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is this source's."""
    return "blocks.0.flows.0.actnorm.loc" in weights


def import_state(
    weights: Mapping[str, Tensor], *, image_size: int | None, bits: int | None, origin: str
) -> tuple[GlowConfig, State]:
    """The configuration and the weights of a state dict.

    A model whose 1x1 convolutions are all LU decomposed stays so; ``--no_lu`` leaves them in the last block only, and
    then they are multiplied out. Neither the image size nor the bits show in the weights.

    Raises:
        InputError: ``image_size`` or ``bits`` is None.
        WeightsError: a weight is missing, has another shape or is not understood; the message lists them all.
    """
    source = Source(weights, origin)
    levels = count(weights, "blocks.{}.flows.0.actnorm.loc")
    depth = count(weights, "blocks.0.flows.{}.actnorm.loc")
    config = configuration(
        source,
        image_size=image_size,
        bits=bits,
        levels=levels,
        depth=depth,
        width=source.size("blocks.0.flows.0.coupling.net.0.weight", 0),
        additive=source.size("blocks.0.flows.0.coupling.net.4.conv.weight", 0) == 6,
        lu=all(f"blocks.{i}.flows.{j}.invconv.w_l" in weights for i in range(levels) for j in range(depth)),
    )
    _check_initialized(source, weights)
    state: State = {}
    for level, channels in enumerate(config.level_channels):
        for step in range(depth):
            state |= _step(source, f"blocks.{level}.flows.{step}", f"levels.{level}.{step}", channels, config)
        if level < levels - 1:
            conv = _padded_conv(source, f"blocks.{level}.prior", f"splits.{level}.conv", channels // 2, channels)
            state |= {name: interleave(*tensor.chunk(2)) for name, tensor in conv.items()}
    channels = config.level_channels[-1]
    state |= _padded_conv(source, f"blocks.{levels - 1}.prior", "prior", channels, 2 * channels)
    del state["prior.weight"]  # it convolves zeros
    source.close()
    return config, state


def _check_initialized(source: Source, weights: Mapping[str, Tensor]) -> None:
    """ActNorm's flags are no weights, but one that is not set means weights that were never trained."""
    flags = [name for name in weights if name.endswith(".actnorm.initialized")]
    source.ignore(flags)
    for name in flags:
        if not weights[name].all():
            source.refuse(f"not trained: {name} is not set")


def _step(source: Source, theirs: str, ours: str, channels: int, config: GlowConfig) -> State:
    half, width = channels // 2, config.width
    f, net = f"{theirs}.coupling.net", f"{ours}.coupling.net"
    additive = config.coupling == "additive"
    last = _padded_conv(source, f"{f}.4", f"{net}.conv3", width, half if additive else channels)
    if not additive:  # theirs are log scale and shift
        last = {name: interleave(*reversed(tensor.chunk(2))) for name, tensor in last.items()}
    return {
        **_actnorm(source, f"{theirs}.actnorm", f"{ours}.actnorm", channels),
        **_conv1x1(source, f"{theirs}.invconv", f"{ours}.conv1x1", channels, lu=config.lu),
        **_biased_conv(source, f"{f}.0", f"{net}.conv1", half, width, 3),
        f"{net}.conv1.edge": torch.zeros(width, 1, 3, 3),
        **_biased_conv(source, f"{f}.2", f"{net}.conv2", width, width, 1),
        **last,
    }


def _actnorm(source: Source, theirs: str, ours: str, channels: int) -> State:
    scale = source.take(f"{theirs}.scale", 1, channels, 1, 1).flatten().double()
    if not scale.is_meta and not (scale > 0).all():
        source.refuse(f"not positive: {theirs}.scale, which must be an exponential here")
    return {
        f"{ours}.bias": source.take(f"{theirs}.loc", 1, channels, 1, 1).flatten(),
        f"{ours}.logs": (torch.log(scale) / 3).float(),
    }


def _conv1x1(source: Source, theirs: str, ours: str, channels: int, *, lu: bool) -> State:
    square = (channels, channels)
    if f"{theirs}.w_l" not in source:
        return {f"{ours}.weight": source.take(f"{theirs}.weight", *square, 1, 1).flatten(1)}
    _check_masks(source, theirs, *square)
    factors = Factors(
        permutation=source.take(f"{theirs}.w_p", *square),
        lower=source.take(f"{theirs}.w_l", *square),
        upper=source.take(f"{theirs}.w_u", *square),
        sign=source.take(f"{theirs}.s_sign", channels),
        log_s=source.take(f"{theirs}.w_s", channels),
    )
    return factors.state(ours) if lu else {f"{ours}.weight": factors.matrix()}


def _check_masks(source: Source, theirs: str, *square: int) -> None:
    """The masks are saved beside the weights; they must be the ones that :class:`Factors` has built in."""
    for name, expected in _MASKS.items():
        mask = source.take(f"{theirs}.{name}", *square)
        if not mask.is_meta and not torch.equal(mask, expected(torch.ones_like(mask))):
            source.refuse(f"not understood: {theirs}.{name} is another mask")


def _biased_conv(source: Source, theirs: str, ours: str, inputs: int, outputs: int, size: int) -> State:
    """A convolution with a bias, as one whose ActNorm scales by 1."""
    return {
        f"{ours}.weight": source.take(f"{theirs}.weight", outputs, inputs, size, size),
        f"{ours}.actnorm.bias": source.take(f"{theirs}.bias", outputs),
        f"{ours}.actnorm.logs": torch.zeros(outputs),
    }


def _padded_conv(source: Source, theirs: str, ours: str, inputs: int, outputs: int) -> State:
    """A convolution that pads with ones: all input channels are the edge indicator outside."""
    weight = source.take(f"{theirs}.conv.weight", outputs, inputs, 3, 3)
    return {
        f"{ours}.weight": weight,
        f"{ours}.edge": weight.double().sum(1, keepdim=True).float(),
        f"{ours}.bias": source.take(f"{theirs}.conv.bias", outputs),
        f"{ours}.logs": source.take(f"{theirs}.scale", 1, outputs, 1, 1).flatten(),
    }
