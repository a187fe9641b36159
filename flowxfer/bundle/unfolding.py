"""A bundle's arrays, read back from its graphs: enough to write graphs of another kind, with no weights at hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from flowxfer.bundle.config import GlowConfig
from flowxfer.bundle.folded import GRID, Affine, Array, Array32, Net
from flowxfer.bundle.folder import Bundle
from flowxfer.bundle.initializers import initializers
from flowxfer.bundle.layout import Layout
from flowxfer.bundle.manifest import ENCODE, SAMPLE
from flowxfer.errors import BundleError

_UNITS = {"fp32": 1.0, "exact-fp32": GRID}

__all__ = ["FoldedBundle"]


@dataclass(frozen=True)
class FoldedBundle:
    """The arrays of a bundle; see :class:`~flowxfer.bundle.folded.Folded`.

    Args:
        bundle: one with float32 nets, which hold all that the weights held.

    Raises:
        BundleError: its nets are narrower; or, when an array is asked for, it is missing or has another shape.
    """

    bundle: Bundle
    _arrays: dict[str, npt.NDArray[np.floating]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        manifest = self.bundle.manifest
        if manifest.precision not in _UNITS:
            raise BundleError(
                f"expected a bundle of precision {' or '.join(_UNITS)} to write other graphs from, got"
                f" {manifest.precision}, whose nets are rounded; start from such a bundle or from the weights"
            )
        graphs = [ENCODE] if manifest.latents == "eps" else [ENCODE, SAMPLE]  # a raw encode graph has no priors
        arrays: dict[str, npt.NDArray[np.floating]] = {}
        for name in graphs:
            arrays |= initializers(self.bundle.path / name)
        object.__setattr__(self, "_arrays", arrays)

    @property
    def config(self) -> GlowConfig:
        """The model's architecture."""
        return GlowConfig.from_dict(self.bundle.manifest.architecture)

    def step(self, level: int, index: int) -> Affine:
        """A step's ActNorm and 1x1 convolution, for a state in natural units."""
        channels = self.config.level_channels[level]
        source, target = Layout.halves(channels), Layout.halves(channels)
        if not index:
            source = Layout.squeezed(channels) if level else Layout.pixels()
        name = f"encode/level{level}/step{index}/linear"
        half = channels // 2
        z1 = self._array(f"{name}/z1", half + 1, source.rows)
        rows = np.concatenate([z1, self._array(f"{name}/z2", half, source.rows)]).astype(np.float64)
        affine = Affine(rows[np.ix_(target.channels, source.channels)], rows[list(target.channels), source.ones[0]])
        if level == index == 0:  # it also takes grey levels to the state's units
            affine = affine.after(Affine(np.eye(12) * 256 / self._unit, np.full(12, 128.0)))
        return Affine(affine.matrix, affine.bias / self._unit)

    def net(self, level: int, index: int, unit: float) -> Net:
        """A step's coupling net."""
        name, factor = f"level{level}/step{index}/coupling", unit / self._unit
        width, half, size = self.config.width, self.config.level_channels[level] // 2, self._size(level)
        outputs = half if self.config.coupling == "additive" else 2 * half
        conv1, bias1 = self._convolution(f"{name}/conv1", width, half + 1, 3)
        conv2, bias2 = self._convolution(f"{name}/conv2", width, width, 1)
        conv3 = self._weight(f"{name}/conv3", outputs, width, 3)
        map3 = self._float32(f"{name}/map3", 1, outputs, size, size)
        shifts = slice(half)
        conv3[shifts] *= factor
        map3[:, shifts] *= factor
        return Net(_of_units(conv1, factor), bias1, conv2, bias2, conv3, map3)

    def split(self, level: int, unit: float) -> tuple[Array32, Array32]:
        """A split's convolution, its weights and its bias."""
        half, factor = self.config.level_channels[level] // 2, unit / self._unit
        weight, bias = self._convolution(f"split{level}/conv", 2 * half, half + 1, 3)
        weight = _of_units(weight, factor)
        weight[:half] *= factor
        bias[:half] *= factor
        bias[half:] += np.float32(np.log(factor))
        return weight, bias

    def prior(self) -> tuple[Array, Array]:
        """The top prior's mean and log standard deviation, each (C, H·W), in natural units."""
        shape = self.config.level_channels[-1], self._size(-1) ** 2
        mean, std = (self._array(f"top/{name}", *shape).astype(np.float64) / self._unit for name in ("mean", "std"))
        return mean, np.log(std)

    def _size(self, level: int) -> int:
        return self.config.image_size >> (range(1, self.config.levels + 1)[level])

    @property
    def _unit(self) -> float:
        return _UNITS[self.bundle.manifest.precision]

    def _convolution(self, name: str, outputs: int, inputs: int, side: int) -> tuple[Array32, Array32]:
        return self._weight(name, outputs, inputs, side), self._float32(f"{name}/bias", outputs)

    def _weight(self, name: str, outputs: int, inputs: int, side: int) -> Array32:
        """A convolution's weights, as Conv has them even where ConvTranspose is what the graph runs."""
        if f"{name}/flipped" in self._arrays:
            flipped = self._float32(f"{name}/flipped", inputs, outputs, side, side)
            return np.flip(flipped, (2, 3)).swapaxes(0, 1).copy()
        return self._float32(f"{name}/weight", outputs, inputs, side, side)

    def _float32(self, name: str, *shape: int) -> Array32:
        return self._array(name, *shape).astype(np.float32)  # a copy, which may be changed

    def _array(self, name: str, *shape: int) -> npt.NDArray[np.floating]:
        array = self._arrays.get(name)
        if array is None or array.shape != shape:
            got = "none" if array is None else f"one of {array.shape}"
            raise BundleError(f"expected {name} of {shape} in {self.bundle.path}, got {got}; export the model again")
        return array


def _of_units(weight: Array32, factor: float) -> Array32:
    """Weights for channels in units that are ``factor`` times smaller; the last channel is the constant 1."""
    channels = np.full(weight.shape[1], 1 / factor, np.float32)
    channels[-1] = 1
    return weight * channels[:, None, None]
