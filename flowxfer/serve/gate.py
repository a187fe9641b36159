"""What stands before the routes: how many requests come in, how large they are, how long they take."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowxfer.serve.limits import Limits
from flowxfer.serve.problems import Refusal, answer

__all__ = ["Gate"]

_RETRY_AFTER = {"Retry-After": "1"}
_LINGER_S = 5

log = logging.getLogger(__name__)


class Gate:
    """ASGI middleware that lets a limited number of POST requests in, each of a limited size, for a limited time.

    A request beyond the queue gets a 503, a body that is too large a 413. When a client goes, what was begun for it is
    cancelled.

    Args:
        app: what comes after it.
        limits: how many, how large, how long.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI has it."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self._app(scope, receive, send)
        state = scope["app"].state
        length = Headers(scope=scope).get("content-length", "0")
        if state.requests >= self._limits.max_queue:
            await self._refuse(receive, send, busy(self._limits))
        elif not length.isdecimal() or int(length) > self._limits.max_upload_bytes:
            await self._refuse(receive, send, too_large(self._limits))
        else:
            state.requests += 1
            try:
                await self._attend(scope, receive, send)
            finally:
                state.requests -= 1

    async def _attend(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application until it has answered, its client is gone, or its time is over."""
        body = _Body(receive, self._limits)
        reply = _Reply(send)
        work = asyncio.ensure_future(self._app(scope, body.receive, reply.send))
        gone = asyncio.ensure_future(body.wait_until_gone())
        try:
            await asyncio.wait({work, gone}, timeout=self._limits.timeout_s, return_when=asyncio.FIRST_COMPLETED)
            over = not work.done() and not gone.done()
        finally:
            for task in (gone, work):
                task.cancel()
            await asyncio.wait({work, gone})
        if not work.cancelled():
            work.result()
        elif over and not reply.started:
            await _answer(send, too_slow(self._limits), more_body=False)
        else:
            log.info("a client went away before its answer came")

    async def _refuse(self, receive: Receive, send: Send, refusal: Refusal) -> None:
        """Answer at once, then let the client finish sending: one that is cut off does not read its answer."""
        await _answer(send, refusal, more_body=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while (await receive()).get("more_body"):
                    pass
        await send({"type": "http.response.body", "body": b""})


class _Body:
    """A request's body, counted on its way."""

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self._receive, self._limits = receive, limits
        self._seen = 0
        self._complete, self._gone = asyncio.Event(), asyncio.Event()

    async def receive(self) -> Message:
        if self._complete.is_set():
            await self._gone.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._limits.max_upload_bytes:
            raise too_large(self._limits)
        if not message.get("more_body"):  # the last part, or the client is gone
            self._complete.set()
        return message

    async def wait_until_gone(self) -> None:
        await self._complete.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()


class _Reply:
    """The way to the client, which knows whether an answer was begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        self.started = True
        await self._send(message)


async def _answer(send: Send, refusal: Refusal, *, more_body: bool) -> None:
    response = answer(refusal.status_code, refusal.detail, {**(refusal.headers or {}), "Connection": "close"})
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": more_body})


def busy(limits: Limits) -> Refusal:
    """Say that the queue is full."""
    return Refusal(
        503,
        f"expected at most {limits.max_queue} requests at a time, and all of them are taken; try again in a second",
        _RETRY_AFTER,
    )


def too_large(limits: Limits) -> Refusal:
    """Say that a body is too large."""
    return Refusal(
        413,
        f"expected a body of at most {limits.max_upload_bytes:,} bytes, got more; send smaller pictures or fewer",
    )


def too_slow(limits: Limits) -> Refusal:
    """Say that the time is over."""
    return Refusal(
        503,
        f"expected to answer within {limits.timeout_s:g} s and did not; send less at once, or try again later",
        _RETRY_AFTER,
    )
