"""What runs a graph: a session with its inputs and outputs bound, or on a processor several, a core each.

All threads on one operation have to meet after each of some hundreds, and the small ones gain nothing from a second
thread. The images of a batch need nothing of each other, and the activations of a few stay in a core's own cache: so a
core takes a share of the images, not of every operation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from flowxfer.engines.ort.providers import runtime

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, OrtValue

Feed = Mapping[str, Any]

# Lanes hold the weights once more. At 64 px a batch of 8 takes a fifth less time with them, at 256 px hardly any less.
LARGEST = 128

__all__ = ["LARGEST", "Bound", "Graph", "SessionPool", "joined"]


class Graph(Protocol):
    """One graph, ready to run; safe to use from several threads."""

    def run(self, feed: Feed, outputs: Sequence[str], device: str) -> Sequence[OrtValue]:
        """Run it.

        Args:
            feed: contiguous NumPy arrays or OrtValues by input, always the same inputs.
            outputs: names.
            device: where the results are to lie, ``"cuda"`` or ``"cpu"``.
        """


class Bound:
    """A session whose inputs stay where they lie, and whose outputs are left where they are wanted."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session

    def run(self, feed: Feed, outputs: Sequence[str], device: str) -> Sequence[OrtValue]:
        """See :class:`Graph`."""
        binding = self._session.io_binding()
        for name, value in feed.items():
            if isinstance(value, np.ndarray):
                binding.bind_cpu_input(name, value)
            else:
                binding.bind_ortvalue_input(name, value)
        for name in outputs:
            binding.bind_output(name, device)
        self._session.run_with_iobinding(binding)
        values: Sequence[OrtValue] = binding.get_outputs()
        return values


class SessionPool:
    """A graph on a processor: a batch runs in lanes, a smaller one on all threads together.

    Args:
        together: the graph on as many threads as there are lanes.
        open_lane: opens it on one thread; called once there is a batch for all lanes.
        count: lanes, at least 2.
    """

    def __init__(self, together: Graph, open_lane: Callable[[], InferenceSession], count: int) -> None:
        self._together, self._open, self._count = together, open_lane, count
        self._lane: InferenceSession | None = None
        self._pool = ThreadPoolExecutor(count, "flowxfer-lane")
        self._lock = threading.Lock()

    def run(self, feed: Feed, outputs: Sequence[str], device: str) -> Sequence[OrtValue]:
        """See :class:`Graph`. An input has as many samples as the largest, or holds for all of them."""
        shapes = [tuple(value.shape if isinstance(value, np.ndarray) else value.shape()) for value in feed.values()]
        batch = max(shape[0] for shape in shapes if shape)
        if batch < self._count:
            return self._together.run(feed, outputs, device)
        with self._lock:
            session = self._lane = self._lane or self._open()
        arrays = {name: value if isinstance(value, np.ndarray) else value.numpy() for name, value in feed.items()}

        def lane(part: slice) -> Sequence[Any]:
            share = {name: x[part] if x.ndim and len(x) == batch else x for name, x in arrays.items()}
            values: Sequence[Any] = session.run(outputs, share)
            return values

        bounds = [batch * index // self._count for index in range(self._count + 1)]
        results = self._pool.map(lane, [slice(*pair) for pair in pairwise(bounds)])
        return [joined(parts) for parts in zip(*results, strict=True)]


def joined(parts: Sequence[npt.NDArray[Any]]) -> OrtValue:
    """The samples of several arrays as one value on the host.

    It has memory of its own. One that ``ortvalue_from_numpy`` makes there borrows the array's, and what ``numpy()``
    reads from it outlives neither.
    """
    shape = (sum(map(len, parts)), *parts[0].shape[1:])
    value = runtime().OrtValue.ortvalue_from_shape_and_type(shape, parts[0].dtype.type, "cpu", 0)
    np.concatenate(parts, out=value.numpy())
    return value
