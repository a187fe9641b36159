"""Work in batches that fit the memory."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

Result = TypeVar("Result")

log = logging.getLogger(__name__)

__all__ = ["Batched"]


class Batched:
    """Something that runs in batches; one that does not fit the memory is halved, for good.

    Args:
        batch_size: the largest batch to begin with.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self._lock = threading.Lock()

    def _batches(self, count: int, run: Callable[[slice], Result]) -> Iterator[Result]:
        start = 0
        while start < count:
            size = min(self.batch_size, count - start)
            try:
                result = run(slice(start, start + size))
            except Exception as error:  # ONNX Runtime's errors have no common base
                if size == 1 or not _out_of_memory(error):
                    raise
                with self._lock:
                    self.batch_size = min(self.batch_size, size // 2)
                log.warning("a batch of %d does not fit the memory; going on with %d", size, self.batch_size)
                continue
            start += size
            yield result


def _out_of_memory(error: Exception) -> bool:
    signs = (
        "out of memory",
        "failed to allocate memory",  # ONNX Runtime
        "can't allocate memory",  # PyTorch on a CPU
        "bad_alloc",
        "bad allocation",
    )
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in signs)
