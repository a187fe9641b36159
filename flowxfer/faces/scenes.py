"""Where a film cuts from one scene to another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowxfer.faces.states import pixels

__all__ = ["Scenes", "likeness"]

_ROWS, _COLUMNS = 18, 32
_SAMPLES = 4  # pixels of the picture for one of the thumbnail, along each side
# Grey levels by which a thumbnail differs from the last one's, on average: motion reaches 10, cuts begin at 15. A
# picture that correlates with the last one has only become lighter or darker.
_CUT, _ALIKE = 15, 0.9


class Scenes:
    """Sees cuts: a thumbnail of the picture that is neither like the last one's nor a lighter or darker one of it."""

    def __init__(self) -> None:
        self._last: NDArray[np.uint8] | None = None

    def cut(self, grey: NDArray[np.uint8]) -> bool:
        """Tell whether a new scene begins with this frame; the first one does not count.

        Args:
            grey: how bright it is, shape (H, W).
        """
        last, self._last = self._last, _thumbnail(grey)
        if last is None:
            return False
        difference = np.abs(self._last.astype(np.int16) - last).mean()
        return bool(difference > _CUT and likeness(last, self._last) < _ALIKE)

    @property
    def state(self) -> dict[str, Any]:
        """What is remembered, as JSON values."""
        return {"last": None if self._last is None else self._last.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a :attr:`state`."""
        self._last = None if state["last"] is None else pixels(state["last"], _ROWS, _COLUMNS)


def likeness(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Correlate two grey pictures of one shape: 1 is alike, 0 is chance; plain ones are like each other."""
    first, second = (picture - picture.mean() for picture in (a.astype(np.float64), b.astype(np.float64)))
    lengths = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / lengths) if lengths else float(not first.any() and not second.any())


def _thumbnail(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average a few pixels for each of the thumbnail: those of a whole film frame would take a millisecond."""
    height, width = grey.shape
    rows = (np.arange(_ROWS * _SAMPLES) + 0.5) * height / (_ROWS * _SAMPLES)
    columns = (np.arange(_COLUMNS * _SAMPLES) + 0.5) * width / (_COLUMNS * _SAMPLES)
    sampled = grey[rows.astype(int)[:, None], columns.astype(int)]
    means = sampled.reshape(_ROWS, _SAMPLES, _COLUMNS, _SAMPLES).mean((1, 3))
    return np.asarray(means, np.uint8)
