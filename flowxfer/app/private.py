"""Files belong to the browser that they were made for, and there is room for so many.

Gradio gives every file of the app to whoever names it. A browser here gets a cookie, and with it the files that an
answer to it has named: its uploads, its results, and what the page shows to everybody. Requests for other files, or
that name them as an input, are refused.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from flowxfer.app.folder import size

__all__ = ["Private"]

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

COOKIE = "flowxfer"
_PATH = re.compile(rb'"path":\s*("(?:[^"\\]|\\.)*")')
_UPLOADED = re.compile(rb'("(?:[^"\\]|\\.)*")')
_TAIL = 8192  # bytes of an answer that are looked at again with those that follow, for a path may be cut in two
_MOST_NAMES = 20_000  # files whose browsers are known
_LARGEST_QUESTION = 8 << 20  # bytes of a request's JSON; ours have a few kB
_PLAIN = ("/assets/", "/static/", "/svelte/", "/theme.css", "/favicon.ico")  # what is the same for everybody


class Private:
    """ASGI middleware that keeps browsers' files apart, and their sum below a limit.

    Args:
        app: Gradio's.
        folder: of all files.
        most_bytes: in it; beyond, uploads and actions are refused until older files have gone.
    """

    def __init__(self, app: App, folder: Path, most_bytes: int) -> None:
        self._app, self._folder, self._most = app, folder, most_bytes
        self._owners: OrderedDict[str, set[str]] = OrderedDict()
        self._coming = 0  # bytes of uploads that are under way

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI has it."""
        path = scope.get("path", "")
        if scope["type"] != "http" or any(part in path for part in _PLAIN):
            return await self._app(scope, receive, send)
        owner, known = _owner(scope)
        answer = _Answer(self, send, owner, known=known, uploads=path.endswith("/upload"))
        if "/proxy=" in path or "/file=http" in path.lower():
            return await _refuse(answer.send, 403, "expected a file of this app, got an address")
        if (name := _file(path)) is not None:
            if not self._may(owner, name):
                return await _refuse(answer.send, 403, "expected a file that was made for this browser, got another")
            return await self._app(scope, receive, answer.send)
        if scope["method"] == "POST":
            return await self._post(_uncompressed(scope), receive, answer, owner)
        return await self._app(_uncompressed(scope), receive, answer.send)

    async def _post(self, scope: Message, receive: Receive, answer: _Answer, owner: str) -> None:
        length = _header(scope, b"content-length")
        upload = scope["path"].endswith("/upload")
        if upload and not length.isdecimal():
            return await _refuse(answer.send, 411, "expected an upload that says how large it is")
        coming = int(length) if upload else 0
        if size(self._folder) + self._coming + coming > self._most:
            sentence = f"expected files of at most {self._most >> 20} MiB in all; older ones go after an hour"
            return await _refuse(answer.send, 507, sentence)
        if upload:
            self._coming += coming
            try:
                return await self._app(scope, receive, answer.send)
            finally:
                self._coming -= coming
        body = await _read(receive)
        if body is None:
            return await _refuse(answer.send, 413, "expected a smaller question")
        if not all(self._may(owner, name) for name in _named(body)):
            return await _refuse(answer.send, 403, "expected files that were made for this browser, got others")
        return await self._app(scope, _again(body, receive), answer.send)

    def gives(self, owner: str, name: str) -> None:
        """Remember that a browser may have a file."""
        name = _real(name)
        self._owners.setdefault(name, set()).add(owner)
        self._owners.move_to_end(name)
        while len(self._owners) > _MOST_NAMES:
            self._owners.popitem(last=False)

    def _may(self, owner: str, name: str) -> bool:
        return owner in self._owners.get(_real(name), ())


class _Answer:
    """The way to the browser, which sees the files that are named on it."""

    def __init__(self, private: Private, send: Send, owner: str, *, known: bool, uploads: bool) -> None:
        self._private, self._send, self._owner, self._known = private, send, owner, known
        self._pattern = _UPLOADED if uploads else _PATH
        self._tail = b""
        self._looks = False

    async def send(self, message: Message) -> None:
        """Hand a part of the answer on."""
        if message["type"] == "http.response.start":
            headers = [*message["headers"]]
            kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
            self._looks = kind.startswith((b"text/html", b"application/json", b"text/event-stream"))
            if not self._known:
                cookie = f"{COOKIE}={self._owner}; Path=/; HttpOnly; SameSite=Strict"
                headers.append((b"set-cookie", cookie.encode()))
            message = {**message, "headers": headers}
        elif self._looks:
            text = self._tail + message.get("body", b"")
            for found in self._pattern.findall(text):
                self._private.gives(self._owner, _text(found))
            self._tail = text[-_TAIL:]
        await self._send(message)


def _text(literal: bytes) -> str:
    try:
        return str(json.loads(literal))
    except ValueError:
        return ""


def _real(name: str) -> str:
    return os.path.realpath(name) if "\0" not in name else ""


def _file(path: str) -> str | None:
    """The file that a path of Gradio's routes is for, or None."""
    for route in ("/file=", "/file/"):
        if route in path:
            return unquote(path.split(route, 1)[1])
    return None


def _named(body: bytes) -> Iterator[str]:
    """Every file that a question names."""
    try:
        waiting = [json.loads(body)]
    except (ValueError, RecursionError):
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from (str(each) for key, each in value.items() if key == "path" and each)
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


async def _read(receive: Receive) -> bytes | None:
    parts, length = [], 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        if length > _LARGEST_QUESTION:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read once more."""
    waiting = [body]

    async def once_more() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return once_more


def _owner(scope: Message) -> tuple[str, bool]:
    """Who asks, by its cookie or by a new one; and whether it has one."""
    try:
        cookie = SimpleCookie(_header(scope, b"cookie")).get(COOKIE)
    except CookieError:
        cookie = None
    return (cookie.value, True) if cookie and len(cookie.value) == 32 else (secrets.token_urlsafe(24), False)


def _header(scope: Message, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _uncompressed(scope: Message) -> Message:
    """A request for an answer that can be looked at."""
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]}


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = sentence.encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
