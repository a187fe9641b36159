"""A real server in a thread of its own, on a free port of the loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import uvicorn

from flowxfer.serve import listen


@contextlib.contextmanager
def serving(app):
    """Yield the address of a server that runs the application."""
    with listen(port=0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_for(lambda: server.started)
            yield listener.getsockname()[:2]
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def wait_for(condition, timeout_s=20):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def talk(address, sent: bytes) -> bytes:
    """Send raw bytes and read until the server closes."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(sent)
        received = b""
        while part := connection.recv(65536):
            received += part
    return received
