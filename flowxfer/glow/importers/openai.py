"""Weights of OpenAI's Glow (https://github.com/openai/glow) by the names of its variables.

OpenAI's arrays are NHWC and HWIO; the last input channel of its 3x3 convolutions is the edge indicator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from flowxfer.bundle.config import GlowConfig
from flowxfer.errors import WeightsError
from flowxfer.glow.importers.ports import prior_of_zeros
from flowxfer.glow.importers.source import Source, configuration, count

__all__ = ["import_variables"]

Variables = Mapping[str, NDArray[Any]]
State = dict[str, Tensor]

_AVERAGE = "/ExponentialMovingAverage"
# OpenAI's optimisers leave their moments and their step unnamed, and TensorFlow calls such variables so.
_OPTIMIZER = re.compile(r"Variable(_\d+)?")


def import_variables(
    variables: Variables, *, ema: bool = False, image_size: int | None, bits: int | None, origin: str
) -> tuple[GlowConfig, State]:
    """The configuration and the weights of OpenAI's variables.

    Levels, depth, width, coupling and whether the top prior was learned show in the weights; the image size and the
    bits do not. Two kinds of variables are left out: the optimiser's (``Variable``, ``Variable_1``, …), and of the
    last weights and their moving averages those that were not asked for. Any other that finds no use is an error.

    Args:
        variables: arrays by OpenAI's names.
        ema: take the exponential moving averages instead of the last weights.
        image_size: height and width of the images.
        bits: bits a colour value had in training.
        origin: the file, for messages.

    Raises:
        InputError: ``image_size`` or ``bits`` is None.
        WeightsError: a weight is missing, has another shape or is not understood; the message lists them all.
    """
    source = Source(_Selection(variables, _select(variables, ema=ema, origin=origin)), origin)
    levels, depth = count(source, "model/{}/0/f1/l_1/W"), count(source, "model/0/{}/f1/l_1/W")
    if not levels:
        raise WeightsError(f"expected the variables of OpenAI's Glow in {origin}, but model/0/0/f1/l_1/W is not there")
    config = configuration(
        source,
        image_size=image_size,
        bits=bits,
        levels=levels,
        depth=depth,
        width=source.size("model/0/0/f1/l_1/W", 3),
        additive=source.size("model/0/0/f1/l_last/W", 3) == 6,
        learned_prior="model/prior/p/W" in source,
    )
    state: State = {}
    for level, channels in enumerate(config.level_channels):
        for step in range(depth):
            state |= _step(source, f"model/{level}/{step}", f"levels.{level}.{step}", channels, config)
        if level < levels - 1:
            state |= _edge_conv(source, f"model/pool{level}/conv", f"splits.{level}.conv", channels // 2, channels)
    state |= _prior(source, config)
    source.close()
    return config, state


def _select(variables: Variables, *, ema: bool, origin: str) -> dict[str, str]:
    """The variables to import, by their names without the suffix of the averages."""
    averages = {name.removesuffix(_AVERAGE): name for name in variables if name.endswith(_AVERAGE)}
    last = {name: name for name in variables if not name.endswith(_AVERAGE) and not _OPTIMIZER.fullmatch(name)}
    if not ema:
        return last
    if without := sorted(set(last) - set(averages)):
        raise WeightsError(
            f"expected a moving average of every variable in {origin}, got none of {', '.join(without)};"
            " ema=False imports the last weights"
        )
    return averages


class _Selection(Mapping[str, NDArray[Any]]):
    """Some variables under other names, still read only when they are asked for."""

    def __init__(self, variables: Variables, names: Mapping[str, str]) -> None:
        self._variables, self._names = variables, names

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._variables[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names


def _step(source: Source, theirs: str, ours: str, channels: int, config: GlowConfig) -> State:
    half, width = channels // 2, config.width
    f, net = f"{theirs}/f1", f"{ours}.coupling.net"
    kernel1 = _kernel(source, f"{f}/l_1/W", 3, half + 1, width)
    return {
        **_actnorm(source, theirs, f"{ours}.actnorm", channels),
        # OpenAI multiplies a row of channels by W from the right.
        f"{ours}.conv1x1.weight": source.take(f"{theirs}/invconv/W", channels, channels).T,
        f"{net}.conv1.weight": kernel1[:, :-1],
        f"{net}.conv1.edge": kernel1[:, -1:],
        **_actnorm(source, f"{f}/l_1", f"{net}.conv1.actnorm", width),
        f"{net}.conv2.weight": _kernel(source, f"{f}/l_2/W", 1, width, width),
        **_actnorm(source, f"{f}/l_2", f"{net}.conv2.actnorm", width),
        **_edge_conv(source, f"{f}/l_last", f"{net}.conv3", width, half if config.coupling == "additive" else channels),
    }


def _kernel(source: Source, name: str, size: int, inputs: int, outputs: int) -> Tensor:
    """A kernel, HWIO to OIHW."""
    return source.take(name, size, size, inputs, outputs).permute(3, 2, 0, 1)


def _actnorm(source: Source, theirs: str, ours: str, channels: int) -> State:
    return {
        f"{ours}.bias": source.take(f"{theirs}/actnorm_center/b", 1, 1, 1, channels).flatten(),
        f"{ours}.logs": source.take(f"{theirs}/actnorm_scale/logs", 1, 1, 1, channels).flatten(),
    }


def _edge_conv(source: Source, theirs: str, ours: str, inputs: int, outputs: int) -> State:
    kernel = _kernel(source, f"{theirs}/W", 3, inputs + 1, outputs)
    return {
        f"{ours}.weight": kernel[:, :-1],
        f"{ours}.edge": kernel[:, -1:],
        f"{ours}.bias": source.take(f"{theirs}/b", 1, 1, 1, outputs).flatten(),
        f"{ours}.logs": source.take(f"{theirs}/logs", 1, outputs).flatten(),
    }


def _prior(source: Source, config: GlowConfig) -> State:
    channels = config.level_channels[-1]
    if config.learned_prior:
        conv = _edge_conv(source, "model/prior/p", "prior", 2 * channels, 2 * channels)
        del conv["prior.weight"]  # it convolves zeros
        return conv
    return prior_of_zeros(channels)
