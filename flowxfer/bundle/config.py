"""The architecture of one Glow, in eight numbers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from flowxfer.errors import InputError

Coupling = Literal["additive", "affine"]

__all__ = ["Coupling", "GlowConfig"]


@dataclass(frozen=True)
class GlowConfig:
    """The architecture of one Glow (https://arxiv.org/abs/1807.03039).

    Args:
        image_size: height and width in pixels, a multiple of ``2 ** levels``.
        levels: number of squeezes (L in the paper).
        depth: steps of flow per level (K in the paper).
        width: hidden channels of a coupling net.
        coupling: ``"additive"`` or ``"affine"``.
        bits: bits a colour value had in training, 1 to 8; OpenAI's CelebA-HQ model has 5.
        learned_prior: whether the top prior's mean and scale are weights.
        lu: whether the 1x1 convolutions are held as their LU decomposition.

    Raises:
        InputError: a value is out of range; the message names it.
    """

    image_size: int = 64
    levels: int = 3
    depth: int = 8
    width: int = 128
    coupling: Coupling = "additive"
    bits: int = 8
    learned_prior: bool = True
    lu: bool = False

    def __post_init__(self) -> None:
        for name in ("image_size", "levels", "depth", "width"):
            if getattr(self, name) < 1:
                raise InputError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if self.levels >= self.image_size.bit_length() or self.image_size % 2**self.levels:
            raise InputError(
                f"expected an image_size that {self.levels} levels can halve, a multiple of 2**{self.levels},"
                f" got {self.image_size}"
            )
        if self.coupling not in ("additive", "affine"):
            raise InputError(f'expected coupling "additive" or "affine", got {self.coupling!r}')
        if not 1 <= self.bits <= 8:
            raise InputError(f"expected bits from 1 to 8, got {self.bits}")

    @property
    def dimensions(self) -> int:
        """Numbers in one image, and in its latents."""
        return 3 * self.image_size**2

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels of the state inside each level, after its squeeze: 12, 24, 48, …"""
        return tuple(12 * 2**level for level in range(self.levels))

    def latent_shapes(self, image_size: int | None = None) -> tuple[tuple[int, int, int], ...]:
        """Shape (C, H, W) of each level's latents; the last level keeps all its channels."""
        size = image_size or self.image_size
        shapes = [(c // 2, size >> (i + 1), size >> (i + 1)) for i, c in enumerate(self.level_channels)]
        channels, height, width = shapes[-1]
        return (*shapes[:-1], (2 * channels, height, width))

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GlowConfig:
        """The configuration that :meth:`to_dict` wrote.

        Raises:
            InputError: a field is unknown or has the wrong type.
        """
        fields = {field.name: type(field.default) for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - set(fields)):
            raise InputError(f"expected the fields {', '.join(fields)}, got also {', '.join(unknown)}")
        for name, value in values.items():
            if type(value) is not fields[name]:
                raise InputError(f"expected {name} to be a {fields[name].__name__}, got {value!r}")
        return cls(**values)
