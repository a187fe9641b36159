"""Connections: how many there may be, and how long one may do nothing; and a log that they cannot flood."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

__all__ = ["Connection", "Sparse", "ignore_exhaustion", "room"]

log = logging.getLogger(__name__)

HEAD_S = 10.0
"""Seconds that a request's head may take, and that a connection may wait for one."""

_GRACE_S = 5.0  # beyond a request's time, for an answer that is on its way
_LOOK_EVERY_S = 0.5
_BACKLOG = 100


class Connection(H11Protocol):
    """One connection, cut off when its client takes too long: to send a request's head, or to take its answer.

    Where there are too many, the one goes that has been idle longest, so that who holds connections open keeps nobody
    out; where all of them are at work, the new one.

    Args:
        config: uvicorn's, as the two that follow.
        server_state: likewise.
        app_state: likewise.
        _loop: likewise.
        request_s: seconds that a request may take when its head has come.
        most: connections that there may be.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        request_s: float,
        most: int,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._request_s, self._most = request_s, most
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection in, or the place of another."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._look()
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._since = self.loop.time()
        super().on_response_complete()

    def _make_room(self) -> None:
        open_ = [each for each in self.connections if isinstance(each, Connection) and not each.transport.is_closing()]
        if len(open_) > self._most:
            idle = [each for each in open_ if not each._works and each is not self]
            log.info("there are more than %d connections: the one that has been idle longest goes", self._most)
            min(idle, key=lambda each: each._since, default=self).transport.abort()

    @property
    def _works(self) -> bool:
        """Whether a request has come in full but for its body, and is not answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _look(self) -> None:
        patience = self._request_s + _GRACE_S if self._works else 0
        if self.loop.time() - self._since > min(HEAD_S, self._request_s) + patience:
            log.info("a client takes too long, and is cut off")
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(_LOOK_EVERY_S, self._look)


def room(most: int) -> tuple[int, int]:
    """Connections that there may be, ``most`` or fewer, and how many may wait: files are left for uploads."""
    free = _free_files()
    return max(1, min(most, free // 2)), max(1, min(_BACKLOG, free // 8))


def _free_files() -> int:
    """Files that the process may open yet."""
    if sys.platform == "win32":
        return 1 << 16
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        taken = len(os.listdir("/dev/fd"))
    except OSError:
        taken = 64
    return 1 << 16 if most == resource.RLIM_INFINITY else max(0, most - taken)


def ignore_exhaustion(loop: asyncio.AbstractEventLoop) -> None:
    """Have a loop say in one line that no connection can be taken; it tries again by itself after a second."""

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "socket" in context and isinstance(context.get("exception"), OSError):
            log.warning("no connection can be taken at present: %s", context["exception"])
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)


class Sparse(logging.Filter):
    """Lets so many records of a logger through in a minute, and counts the rest."""

    def __init__(self, most: int = 60) -> None:
        super().__init__()
        self._most, self._minute, self._count = most, 0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is let through; the first of a minute says how many were not."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            if (left := self._count - self._most) > 0:
                record.msg = f"{record.msg} ({left} more lines were left out)"
            self._minute, self._count = minute, 0
        self._count += 1
        return self._count <= self._most
