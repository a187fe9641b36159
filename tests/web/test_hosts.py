"""Only requests for our own names are answered, and only to our own pages: what DNS rebinding cannot get round."""

from __future__ import annotations

import asyncio

import pytest

from flowxfer.web.hosts import Hosts


def asked(hosts, *headers, kind="http", scheme="http"):
    """The status of a request with these headers."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "scheme": scheme, "headers": [(name.encode(), value.encode()) for name, value in headers]}
    asyncio.run(Hosts(app, hosts)(scope, None, send))
    return sent[0].get("status", sent[0].get("code"))


@pytest.mark.parametrize("bound", ["127.0.0.1", "localhost", "::1"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8000", "localhost", "LOCALHOST:8000", "localhost.", "[::1]", "[::1]:8000"]
)
def test_the_loopback_has_several_names(bound, host):
    assert asked([bound], ("host", host)) == 200


FOREIGN = [
    "evil.example",
    "evil.example:8000",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "192.0.2.1",
    "0.0.0.0",
]
FOREIGN += ["", "localhost@evil.example", "evil.example@localhost", "localhost/x", "[::2]", "127.0.0.1:x", "[", "::1"]


@pytest.mark.parametrize("host", FOREIGN)
def test_other_hosts_are_refused(host):
    assert asked(["127.0.0.1"], ("host", host)) == 421
    assert asked(["127.0.0.1"], ("host", host), kind="websocket") == 1008


def test_no_host_and_two():
    assert asked(["127.0.0.1"]) == 421
    assert asked(["127.0.0.1"], ("host", "localhost"), ("host", "evil.example")) == 421


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])
def test_who_hears_all_addresses_answers_to_all_but_to_no_name(bound):
    for host in ("127.0.0.1", "192.0.2.1:8000", "[2001:db8::1]:8000"):
        assert asked([bound], ("host", host)) == 200
    for host in ("evil.example", "localhost.evil.example"):
        assert asked([bound], ("host", host)) == 421
    assert asked([bound, "faces.example"], ("host", "faces.example")) == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8000", 200),
        ("http://LOCALHOST:8000", 200),
        ("http://localhost:8001", 403),  # another program on this machine
        ("http://127.0.0.1:8000", 403),
        ("http://evil.example", 403),
        ("http://evil.example:8000", 403),
        ("http://localhost.evil.example:8000", 403),
        ("https://localhost", 403),
        ("null", 403),
        ("file://", 403),
        ("chrome-extension://abc", 403),
        ("", 403),
        ("http://localhost:8000/x", 403),
        ("http://evil.example@localhost:8000", 403),
    ],
)
def test_a_page_of_ours_may_ask(origin, status):
    assert asked(["127.0.0.1"], ("host", "localhost:8000"), ("origin", origin)) == status


def test_a_proxy_has_another_scheme_or_name():
    hosts = ["127.0.0.1", "faces.example"]
    assert asked(hosts, ("host", "faces.example"), ("origin", "https://faces.example")) == 200
    assert asked(hosts, ("host", "127.0.0.1:8000"), ("origin", "https://faces.example")) == 200
    assert asked(hosts, ("host", "127.0.0.1:8000"), ("origin", "https://evil.example")) == 403
