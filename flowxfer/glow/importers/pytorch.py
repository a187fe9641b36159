"""Reads PyTorch's files of tensors without running code that they may hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowxfer.errors import WeightsError, reason

__all__ = ["is_pytorch", "read_state"]

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80\x02"


def is_pytorch(start: bytes) -> bool:
    """Whether a file that begins so may be one that ``torch.save`` wrote."""
    return start.startswith((_ZIP, _PICKLE))


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, without the ``module.`` that DataParallel puts before every name.

    A state dict may be the whole file, or its entry ``graph``, where chaiyujin/glow-pytorch saves it.

    Raises:
        WeightsError: the file is truncated or damaged, holds other things than tensors, or would run code.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise WeightsError(
            f"expected a PyTorch file of tensors at {path}, but it is damaged or holds other objects, which are not"
            f" unpickled because that can run code ({reason(error)}); save its state_dict() alone"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("graph"), dict):
        content = content["graph"]
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise WeightsError(f"expected a state dict in {path}, got a {type(content).__name__}; save state_dict()")
    if others := sorted(name for name, value in content.items() if not _is_whole(value)):
        raise WeightsError(f"expected only dense tensors in {path}, got other things under {', '.join(others)}")
    if content and all(name.startswith("module.") for name in content):
        content = {name.removeprefix("module."): value for name, value in content.items()}
    return dict(content)


def _is_whole(value: object) -> bool:
    """Whether this is a dense tensor with as many stored numbers as it shows."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not value.is_quantized
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )
