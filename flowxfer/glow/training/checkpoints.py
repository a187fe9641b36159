"""A run's state as one file of tensors and plain values.

No random state is kept because none outlives a step: what a step draws depends on the seed and the step's number.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from flowxfer.errors import WeightsError, reason
from flowxfer.files import replacing

__all__ = ["load_checkpoint", "save_checkpoint"]

FIELDS = {"actions", "config", "model", "average", "optimizer", "step", "seconds"}


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a state, whole or not at all."""
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote, its tensors on the CPU; runs no code from the file.

    Raises:
        WeightsError: the file is missing, damaged, or no checkpoint of a training run.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise WeightsError(
            f"expected a training checkpoint at {path}, but it cannot be read: {reason(error)}"
        ) from error
    if not isinstance(state, dict) or set(state) != FIELDS:
        raise WeightsError(f"expected a checkpoint with {', '.join(sorted(FIELDS))} at {path}; training writes them")
    return state
