"""flowxfer's own weight files: safetensors with the configuration in the header."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from flowxfer.bundle.config import GlowConfig
from flowxfer.errors import InputError, WeightsError, reason
from flowxfer.files import replacing
from flowxfer.glow.model import Glow

__all__ = ["build", "load", "read", "save"]

CONFIG_KEY = "flowxfer.config"


def build(config: GlowConfig, state: dict[str, Tensor], *, origin: str) -> Glow:
    """A model that holds exactly these weights.

    Raises:
        WeightsError: a weight is missing, unexpected or of the wrong shape; the message lists them all.
    """
    # A damaged file may describe a model of any size: memory is taken only for what is there.
    if config.levels * config.depth > len(state):
        raise WeightsError(f"{origin} does not fit a Glow of {config}: it has no more than {len(state)} tensors")
    with torch.device("meta"):
        model = Glow(config)
    expected = model.state_dict()
    problems = [f"missing: {name} {tuple(expected[name].shape)}" for name in expected if name not in state]
    problems += [f"unexpected: {name} {tuple(state[name].shape)}" for name in state if name not in expected]
    problems += [
        f"wrong shape: {name} is {tuple(state[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected
        if name in state and state[name].shape != expected[name].shape
    ]
    if problems:
        raise WeightsError(f"{origin} does not fit a Glow of {config}:\n  " + "\n  ".join(problems))
    own = {name: state[name].to(expected[name].dtype, copy=True).contiguous() for name in expected}
    model.load_state_dict(own, assign=True)
    return model.eval()


def save(model: Glow, path: str | os.PathLike[str]) -> None:
    """Write a model's weights and configuration to one safetensors file, whole or not at all."""
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    with replacing(Path(path)) as temporary:
        save_file(state, temporary, metadata={CONFIG_KEY: json.dumps(model.config.to_dict())})


def read(path: str | os.PathLike[str]) -> tuple[GlowConfig, dict[str, Tensor]]:
    """The configuration and the weights of a file that :func:`save` wrote.

    Raises:
        WeightsError: the file is not safetensors, is truncated, or was not written by flowxfer.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"expected a safetensors file at {path}, but it cannot be read: {reason(error)}") from error
    if CONFIG_KEY not in header:
        raise WeightsError(f"expected {CONFIG_KEY!r} in the header of {path}; flowxfer.glow.save() writes it")
    try:
        return GlowConfig.from_dict(json.loads(header[CONFIG_KEY])), state
    except (InputError, ValueError, TypeError) as error:
        raise WeightsError(f"expected a Glow configuration in the header of {path}: {reason(error)}") from error


def load(path: str | os.PathLike[str]) -> Glow:
    """The model that :func:`save` wrote, in evaluation mode.

    Raises:
        WeightsError: the file cannot be read, or does not hold exactly the weights of its configuration.
    """
    config, state = read(path)
    return build(config, state, origin=str(path))
