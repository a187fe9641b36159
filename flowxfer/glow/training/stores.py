"""Where the pictures of a run lie: on the disk, or in a GPU's memory. Either gives any of them by their numbers."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

__all__ = ["DeviceStore", "MappedStore", "Store"]

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.int64]


class Store(Protocol):
    """Pictures of one size, numbered in the order in which they were added."""

    def has_room(self, pictures: int) -> bool:
        """Whether so many more can be added."""

    def add(self, pixels: Pixels) -> None:
        """Take uint8 (M, k·S, k·S, 3), which become S x S by means over k x k pixels."""

    def __getitem__(self, numbers: Numbers) -> Tensor:
        """Return the pictures of the numbers (N,), uint8 (N, S, S, 3)."""


def _reduced(pixels: Tensor, image_size: int) -> Tensor:
    factor = pixels.shape[1] // image_size
    if factor == 1:
        return pixels
    means = functional.avg_pool2d(pixels.permute(0, 3, 1, 2).float(), factor)
    return means.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class MappedStore:
    """Pictures that stay in their files, of which a step's are read."""

    def __init__(self, image_size: int) -> None:
        self.image_size = image_size
        self._parts: list[Pixels] = []
        self._ends: list[int] = []

    def has_room(self, pictures: int) -> bool:
        """Always."""
        return True

    def add(self, pixels: Pixels) -> None:
        """Note where they are: nothing is read."""
        self._parts.append(pixels)
        self._ends.append(len(pixels) + (self._ends[-1] if self._ends else 0))

    def __getitem__(self, numbers: Numbers) -> Tensor:
        """Read the pictures, each from its file."""
        parts = np.searchsorted(self._ends, numbers, side="right")
        found = (self._parts[part][n - self._ends[part]] for part, n in zip(parts, numbers, strict=True))
        return torch.cat([_reduced(torch.tensor(picture[None]), self.image_size) for picture in found])


class DeviceStore:
    """Pictures in a device's memory, which grows by doubling: while a GPU trains, its pictures cross no bus.

    Args:
        image_size: S.
        device: of PyTorch.
        capacity_bytes: that the pictures may take.
    """

    def __init__(self, image_size: int, device: torch.device, capacity_bytes: float) -> None:
        self._capacity = int(capacity_bytes) // (3 * image_size**2)
        self._pictures = torch.empty((0, image_size, image_size, 3), dtype=torch.uint8, device=device)
        self._count = 0

    def has_room(self, pictures: int) -> bool:
        """Whether the memory that they may take suffices."""
        return self._count + pictures <= self._capacity

    def add(self, pixels: Pixels) -> None:
        """Copy them to the device."""
        end, (held, size, *_) = self._count + len(pixels), self._pictures.shape
        if end > held:
            grown = self._pictures.new_empty((min(max(end, 2 * held), self._capacity), size, size, 3))
            grown[: self._count] = self._pictures[: self._count]
            self._pictures = grown
        self._pictures[self._count : end] = _reduced(torch.tensor(pixels, device=self._pictures.device), size)
        self._count = end

    def __getitem__(self, numbers: Numbers) -> Tensor:
        """Gather the pictures on the device."""
        return self._pictures[torch.from_numpy(numbers).to(self._pictures.device)]
