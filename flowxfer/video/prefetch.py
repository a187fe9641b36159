"""One stage of a pipeline: an iterator that runs in a thread of its own, a few items ahead of who takes them."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

__all__ = ["prefetch"]

Item = TypeVar("Item")

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 1.0  # with a stage that is asked to end
_BEAT_SECONDS = 0.5
_LOOK_UP_SECONDS = 0.1  # how soon a stage that waits for room notices that nobody wants its items any more


def prefetch(items: Iterator[Item], depth: int, beat: Callable[[], None] | None = None) -> Generator[Item]:
    """Yield what ``items`` yields, which goes on in another thread until ``depth`` items wait to be taken.

    The order stays. An exception in ``items`` comes out here, in its turn. Whoever stops early, by an exception or by
    ``close()``, closes ``items`` in its thread and waits for it: with stages one on another all of them end. One that
    does not look up from what it does, such as a decoder in a film that goes on and on, is left to end by itself.

    Args:
        items: is only touched by the other thread, and closed there at the end where it is a generator.
        depth: items that may wait, at least 1.
        beat: is called now and then while an item is waited for, in the thread that takes them.
    """
    worker = _Worker(items, depth)
    try:
        while (taken := worker.taken(beat)) is not None:
            yield taken.item
        if worker.error is not None:
            raise worker.error
    finally:
        worker.stop()


class _Taken(Generic[Item]):
    def __init__(self, item: Item) -> None:
        self.item = item


class _Worker(Generic[Item]):
    def __init__(self, items: Iterator[Item], depth: int) -> None:
        self.waiting: queue.Queue[_Taken[Item] | None] = queue.Queue(depth)
        self.error: BaseException | None = None
        self._items, self._stopped = items, threading.Event()
        self._thread = threading.Thread(target=self._run, name="flowxfer-stage", daemon=True)
        self._thread.start()

    def taken(self, beat: Callable[[], None] | None) -> _Taken[Item] | None:
        """Wait for the next item, or None at the end."""
        while beat is not None:
            try:
                return self.waiting.get(timeout=_BEAT_SECONDS)
            except queue.Empty:
                beat()
        return self.waiting.get()

    def stop(self) -> None:
        """Close the items, wherever they are, and wait for the thread."""
        self._stopped.set()
        self._thread.join(_PATIENCE_SECONDS)
        if self._thread.is_alive():
            log.info("a stage does not end yet, and is left alone")

    def _run(self) -> None:
        try:
            try:
                for item in self._items:
                    if not self._put(_Taken(item)):
                        break
            finally:
                if isinstance(self._items, Generator):
                    self._items.close()
        except BaseException as error:  # whatever it is, it belongs to who takes the items
            self.error = error
        self._put(None)

    def _put(self, message: _Taken[Item] | None) -> bool:
        while not self._stopped.is_set():
            try:
                self.waiting.put(message, timeout=_LOOK_UP_SECONDS)
            except queue.Full:
                continue
            return True
        return False
