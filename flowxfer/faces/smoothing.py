"""A filter that keeps still what is still and lets move what moves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flowxfer.faces.similarity import Points
from flowxfer.faces.states import numbers

__all__ = ["OneEuro"]

_SPEED_CUTOFF_HZ = 1.0  # the paper's


class OneEuro:
    """The 1€ filter, on the two eyes of a face: a low-pass whose cutoff rises with the speed.

    The point between the eyes and the line from one to the other are filtered apart, so that a face may turn while it
    stays in its place. Speeds are in eye distances a second, so that near and far faces are filtered alike.
    Source: "1€ Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems" (CHI 2012,
    DOI 10.1145/2207676.2208639).

    Args:
        min_cutoff_hz: cutoff at rest; lower is stiller.
        beta: by how much the cutoff rises with the speed, in Hz per eye distance a second; higher follows faster.
    """

    def __init__(self, *, min_cutoff_hz: float = 0.5, beta: float = 8.0) -> None:
        self._min_cutoff_hz, self._beta = min_cutoff_hz, beta
        self.reset()

    def reset(self) -> None:
        """Forget the past, as after a cut."""
        self._time: float | None = None
        self._value = self._speed = np.zeros(2, np.complex128)

    def __call__(self, eyes: Points, time: float) -> Points:
        """Filter the next position.

        Args:
            eyes: shape (2, 2), x and y in pixels.
            time: in seconds; one that does not go on from the last leaves the face where it was.

        Returns:
            Shape (2, 2), in pixels.
        """
        left, right = eyes[:, 0] + 1j * eyes[:, 1]
        value = np.array([(left + right) / 2, right - left])
        if self._time is None:
            self._time, self._value, self._speed = time, value, np.zeros(2, np.complex128)
        elif time > self._time:
            seconds = time - self._time
            speed = (value - self._value) / seconds
            self._speed = self._speed + _share(_SPEED_CUTOFF_HZ, seconds) * (speed - self._speed)
            cutoffs_hz = self._min_cutoff_hz + self._beta * np.abs(self._speed) / abs(value[1])
            self._value = self._value + _share(cutoffs_hz, seconds) * (value - self._value)
            self._time = time
        middle, span = self._value
        both = np.array([middle - span / 2, middle + span / 2])
        return np.stack([both.real, both.imag], axis=1)

    @property
    def state(self) -> dict[str, Any]:
        """All that the filter remembers, as JSON values."""
        value, speed = (part.view(np.float64).tolist() for part in (self._value, self._speed))
        return {"time": self._time, "value": value, "speed": speed}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a :attr:`state`."""
        self._time = None if state["time"] is None else float(numbers(state["time"]))
        self._value, self._speed = (numbers(state[name], 4).view(np.complex128) for name in ("value", "speed"))


def _share(cutoff_hz: Any, seconds: float) -> Any:
    """Of the new value in the filtered one."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff_hz * seconds))
