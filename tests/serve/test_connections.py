"""Connections that do nothing end; those that do something go on; and the log stays small."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import os
import resource
import socket
import subprocess
import sys
import time
import urllib.request

from flowxfer.web.connections import Sparse, ignore_exhaustion, room

HEALTH = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextlib.contextmanager
def served(bundle, *options, files=None):
    """The command, in a process that may open so many files; yields its address, and at the end what it logged."""
    command = [sys.executable, "-m", "flowxfer", "serve", "--port", "0", "-m", str(bundle), *options]
    limit = None if files is None else lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    log = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit
    ) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            host, port = line.split()[2].rstrip(";").removeprefix("http://").split(":")
            yield (host, int(port)), log
        finally:
            process.terminate()
            log.append(process.communicate(timeout=30)[1])


def healthy(address):
    with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/v1/health", timeout=20) as answer:
        return json.load(answer)["status"] == "ok"


def closed(connection):
    connection.settimeout(20)
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


HEADS = {
    "nothing": b"",
    "a head without an end": b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nX: ",
    "a second one": HEALTH + b"GET /v1/health HTT",
    "a body without an end": b"POST /v1/sample HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nn",
    "a body that nobody reads": b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nn",
}


def test_who_does_not_go_on_is_cut_off(tiny_bundle):
    with served(tiny_bundle, "--timeout", "1") as (address, log):
        began = time.monotonic()
        slow = [socket.create_connection(address) for head in HEADS.values()]
        for connection, head in zip(slow, HEADS.values(), strict=True):
            connection.sendall(head)
        assert healthy(address)
        assert all(closed(connection) for connection in slow)
        for connection in slow:
            connection.close()
        assert time.monotonic() - began < 15
        assert healthy(address)
    assert log == [""]


def test_a_head_that_comes_byte_by_byte_is_cut_off_too(tiny_bundle):
    with served(tiny_bundle, "--timeout", "1") as (address, _), socket.create_connection(address) as connection:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 15:
                connection.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - began < 10


def test_a_connection_that_is_used_stays(tiny_bundle):
    with served(tiny_bundle, "--timeout", "1") as (address, _):
        connection = http.client.HTTPConnection(*address, timeout=20)
        connection.connect()
        sock = connection.sock
        for _ in range(12):  # for longer than anything may take
            connection.request("GET", "/v1/health")
            assert json.load(connection.getresponse())["status"] == "ok"
            time.sleep(0.2)
        assert connection.sock is sock
        connection.close()


def test_who_holds_connections_open_keeps_nobody_out(tiny_bundle):
    with served(tiny_bundle, "--max-connections", "20") as (address, _):
        held = [socket.create_connection(address) for _ in range(60)]
        for _ in range(5):
            assert healthy(address)
        assert sum(_is_open(connection) for connection in held) <= 20
        for connection in held:
            connection.close()


def _is_open(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_few_files(tiny_bundle):
    """It answers, and its log stays small."""
    with served(tiny_bundle, files=64) as (address, log):
        held = []
        for _ in range(200):
            with contextlib.suppress(OSError):
                held.append(socket.create_connection(address, timeout=2))
        for connection in held[::2]:
            connection.close()
        assert healthy(address)
        for connection in held:
            connection.close()
    assert len(log[0]) < 10_000


def test_room_follows_the_files_that_may_be_opened():
    most, backlog = room(512)
    assert (most, backlog) <= (512, 100)
    assert room(7)[0] == 7


def test_a_log_does_not_flood(caplog):
    logger = logging.getLogger("a test of floods")
    sparse = Sparse(most=3)
    logger.addFilter(sparse)
    for number in range(1000):
        logger.warning("line %d", number)
    assert [record.getMessage() for record in caplog.records] == ["line 0", "line 1", "line 2"]
    sparse._minute -= 1
    logger.warning("line %d", 1000)
    assert caplog.records[-1].getMessage() == "line 1000 (997 more lines were left out)"


def test_exhaustion_is_one_line(caplog):
    async def main():
        loop = asyncio.get_running_loop()
        ignore_exhaustion(loop)
        error = OSError(24, os.strerror(24))
        loop.call_exception_handler(
            {"message": "socket.accept() out of system resource", "exception": error, "socket": 1}
        )
        loop.call_exception_handler({"message": "something else"})

    asyncio.run(main())
    assert [(record.getMessage(), record.exc_info) for record in caplog.records] == [
        ("no connection can be taken at present: [Errno 24] Too many open files", None),
        ("something else", False),
    ]
