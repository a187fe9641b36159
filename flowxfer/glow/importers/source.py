"""Named weights from elsewhere, each of which must be used exactly once."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowxfer.bundle.config import GlowConfig
from flowxfer.errors import InputError, WeightsError

__all__ = ["Source", "configuration", "count"]

_LARGEST = 2**14  # pixels; a damaged file could ask for more memory than there is

Arrays = Mapping[str, Tensor] | Mapping[str, NDArray[Any]]


class Source:
    """The weights of a foreign file: takes them one by one, and says at the end what did not fit.

    Args:
        arrays: the weights by their foreign names; read only when they are taken.
        origin: the file, for messages.
    """

    def __init__(self, arrays: Arrays, origin: str) -> None:
        self.origin = origin
        self._arrays = arrays
        self._rest = set(arrays)
        self._problems: list[str] = []

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def size(self, name: str, axis: int) -> int:
        """The length of one axis of a weight.

        Raises:
            WeightsError: there is no such weight, it has no such axis, or it is empty.
        """
        if name not in self:
            raise WeightsError(f"expected {name} in {self.origin}, but it is not there")
        shape = tuple(self._arrays[name].shape)
        if axis >= len(shape) or 0 in shape:
            raise WeightsError(
                f"expected {name} in {self.origin} to have a length along axis {axis}, got shape {shape}"
            )
        return int(shape[axis])

    def take(self, name: str, *shape: int) -> Tensor:
        """A weight in float32, which counts as used from now on.

        One that is missing, of another shape or not of floating point is noted for :meth:`close`; what stands in for
        it has no memory.
        """
        if name not in self:
            return self._stand_in(f"missing: {name} {shape}", shape)
        self._rest.discard(name)
        array = self._arrays[name]
        if tuple(array.shape) != shape:
            return self._stand_in(f"wrong shape: {name} is {tuple(array.shape)}, expected {shape}", shape)
        tensor = array if isinstance(array, Tensor) else torch.from_numpy(np.array(array))
        if not tensor.is_floating_point():
            return self._stand_in(f"wrong type: {name} is {tensor.dtype}, expected floating point numbers", shape)
        return tensor.to(torch.float32)

    def _stand_in(self, problem: str, shape: tuple[int, ...]) -> Tensor:
        self.refuse(problem)
        return torch.empty(shape, device="meta")

    def ignore(self, names: Iterable[str]) -> None:
        """Count weights as used that are not needed."""
        self._rest.difference_update(names)

    def refuse(self, problem: str) -> None:
        """Note a problem for :meth:`close`."""
        self._problems.append(problem)

    def close(self) -> None:
        """End the import.

        Raises:
            WeightsError: a weight was missing, had another shape, or was never used; the message lists them all.
        """
        problems = [*self._problems]
        problems += [f"not understood: {name} {tuple(self._arrays[name].shape)}" for name in sorted(self._rest)]
        if problems:
            raise WeightsError(f"{self.origin} cannot be imported:\n  " + "\n  ".join(problems))


def count(names: Container[str], template: str, *, start: int = 0) -> int:
    """How many names a template makes of start, start + 1, … before the first that is not there."""
    return next(i for i in itertools.count() if template.format(start + i) not in names)


def configuration(
    source: Source,
    *,
    image_size: int | None,
    bits: int | None,
    levels: int,
    depth: int,
    width: int,
    additive: bool,
    learned_prior: bool = True,
    lu: bool = False,
) -> GlowConfig:
    """The configuration of foreign weights, from what they show and what the caller adds.

    Raises:
        InputError: ``image_size`` or ``bits`` is None, because the file does not hold it.
        WeightsError: together they are no Glow.
    """
    for name, value, example in (("image_size", image_size, 256), ("bits", bits, 5)):
        if value is None:
            raise InputError(
                f"{source.origin} does not hold the model's {name}; pass it, such as"
                f" import_weights(path, {name}={example})"
            )
    assert image_size is not None
    assert bits is not None
    if image_size > _LARGEST:
        raise WeightsError(f"expected {source.origin} to have an image_size of at most {_LARGEST}, got {image_size}")
    try:
        return GlowConfig(
            image_size=image_size,
            levels=levels,
            depth=depth,
            width=width,
            coupling="additive" if additive else "affine",
            bits=bits,
            learned_prior=learned_prior,
            lu=lu,
        )
    except InputError as error:
        raise WeightsError(f"the weights in {source.origin} are no Glow for these arguments: {error}") from error
