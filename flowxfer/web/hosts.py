"""Who is meant by a request, and whose page it comes from.

A browser lets any page send requests to any address. Where a name of the page's own resolves to this machine (DNS
rebinding), it even lets the page read the answers, for the name is the page's. But it says in ``Host`` what it was
asked for, and in ``Origin`` who asked: so only names that are ours are answered, and only to our own pages.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

__all__ = ["LOOPBACK", "Hosts"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ANY = {"0.0.0.0", "::"}  # what a server is bound to that hears every address of its machine
_PORTS = {"http": 80, "https": 443}

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Hosts:
    """ASGI middleware that answers only to its own names, and only its own pages.

    Args:
        app: what comes after it.
        hosts: names and addresses, without ports. One of the loopback's stands for all of them; ``0.0.0.0`` or ``::``
            for every address, but for no name.
    """

    def __init__(self, app: App, hosts: Sequence[str]) -> None:
        names = {_plain(host) for host in hosts}
        self._names = frozenset(names | set(LOOPBACK) if names & set(LOOPBACK) else names)
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if len(hosts) != 1 or not self._is_ours(_host(hosts[0])):
            return await _refuse(scope, send, 421, self._not_ours(hosts))
        if any(not self._is_own(origin, hosts[0], str(scope["scheme"])) for origin in origins):
            return await _refuse(scope, send, 403, f"expected a page of {_shown(hosts)} to ask, got {_shown(origins)}")
        return await self._app(scope, receive, send)

    def _is_ours(self, host: str | None) -> bool:
        return host is not None and (host in self._names or (bool(self._names & _ANY) and _is_address(host)))

    def _is_own(self, origin: str, host: str, scheme: str) -> bool:
        """Whether a page is the one that a request is for; behind a proxy ``Host`` may be another name of ours."""
        parts = _split(origin)
        if parts is None or parts[0] not in _PORTS:
            return False
        if (asked := _split(f"{scheme.replace('ws', 'http')}://{host}")) is None:
            return False
        own = parts[1:] == asked[1:] or (parts[1] == asked[1] and (parts[2], asked[2]) == (443, 80))
        return own or (parts[1] not in LOOPBACK and not _is_address(parts[1]) and parts[1] in self._names)

    def _not_ours(self, hosts: list[str]) -> str:
        ours = ", ".join(sorted(self._names))
        return f"expected a request to {ours}, got one to {_shown(hosts)}; --allow-host adds a name"


def _split(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an origin; None for what is none, such as ``null``."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    if not parts.hostname or parts.path or parts.query or parts.fragment or parts.username is not None:
        return None
    return parts.scheme, _plain(parts.hostname), port


def _host(value: str) -> str | None:
    split = _split(f"http://{value}")
    return split[1] if split else None


def _plain(name: str) -> str:
    """A name as it is compared: in small letters, without brackets and a dot at its end; addresses in one way."""
    name = name.strip("[]").lower().removesuffix(".")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _values(scope: Message, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _shown(values: list[str]) -> str:
    return " and ".join(ascii(value[:100]) for value in values[:2]) or "nobody"


async def _refuse(scope: Message, send: Send, status: int, sentence: str) -> None:
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1008, "reason": sentence[:100]})
    body = json.dumps({"error": sentence}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
