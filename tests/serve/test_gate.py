"""What is refused before a route sees it: too many requests, too large ones, too slow ones."""

from __future__ import annotations

import http.client
import json
import socket
import threading

import pytest

from flowxfer.errors import InputError
from flowxfer.serve import Limits, create_app, listen
from tests.serve.conftest import face, png
from tests.serve.server import serving, talk, wait_for

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def held(tiny_transferer):
    """An application with room for two requests, whose samples wait until they may go on."""
    app = create_app(tiny_transferer, Limits(max_queue=2, max_upload_bytes=4096, timeout_s=20))
    app.may_go_on, app.begun = threading.Event(), []
    with serving(app) as address:
        sample = app.state.service._sample

        def wait(jobs):
            app.begun += jobs
            assert app.may_go_on.wait(20)
            return sample(jobs)

        app.state.service._sample = wait
        yield app, address
        app.may_go_on.set()


def post(address, path="/v1/sample", body="n=1", headers=FORM):
    connection = http.client.HTTPConnection(*address, timeout=20)
    connection.request("POST", path, body, headers)
    return connection


def read(connection):
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, answer.headers, data


def test_a_full_queue_is_a_503_that_says_when_to_come_again(held):
    app, address = held
    waiting = [post(address, body=f"n=1&seed={seed}") for seed in range(2)]
    wait_for(lambda: app.state.requests == 2)
    for _ in range(3):
        status, headers, data = read(post(address))
        assert (status, headers["Retry-After"]) == (503, "1")
        sentence = "expected at most 2 requests at a time, and all of them are taken; try again in a second"
        assert json.loads(data) == {"error": sentence}
    health = http.client.HTTPConnection(*address, timeout=20)
    health.request("GET", "/v1/health")  # which is answered all the same
    assert json.loads(read(health)[2])["queue"] == {"requests": 2, "limit": 2}
    app.may_go_on.set()
    assert [read(connection)[0] for connection in waiting] == [200, 200]
    wait_for(lambda: app.state.requests == 0)
    assert read(post(address))[0] == 200


def test_who_has_gone_is_not_served(held):
    app, address = held
    first = post(address, body="n=1&seed=1")
    wait_for(lambda: app.begun)
    gone = post(address, body="n=1&seed=2")
    wait_for(lambda: app.state.requests == 2)
    gone.close()
    wait_for(lambda: app.state.requests == 1)
    app.may_go_on.set()
    assert read(first)[0] == 200
    assert read(post(address, body="n=1&seed=3"))[0] == 200
    assert [seed for _, _, seed in app.begun] == [1, 3]


def test_a_request_that_takes_too_long(tiny_transferer):
    app = create_app(tiny_transferer, Limits(timeout_s=1))
    may_go_on = threading.Event()
    with serving(app) as address:
        app.state.service._sample = lambda jobs: [may_go_on.wait(20) for _ in jobs]
        status, headers, data = read(post(address))
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "expected to answer within 1 s and did not; send less at once" in json.loads(data)["error"]
        # A body that never ends is the same.
        head = b"POST /v1/sample HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n" + _LINE + b"\r\nn=1"
        assert b"503 Service Unavailable" in talk(address, head)
        may_go_on.set()


_LINE = b"Content-Type: application/x-www-form-urlencoded\r\n"
_TOO_LARGE = b"expected a body of at most 4,096 bytes, got more; send smaller pictures or fewer"


def test_a_body_that_says_it_is_too_large(held):
    _, address = held
    head = b"POST /v1/sample HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: 8000000\r\n\r\n" % _LINE
    received = talk(address, head + bytes(8_000_000))  # the answer is there although all of it was sent
    assert received.startswith(b"HTTP/1.1 413 ")
    assert received.endswith(b'{"error":"%s"}' % _TOO_LARGE)


def test_a_body_that_does_not_say_how_large_it_is(held):
    _, address = held
    head = (
        b"POST /v1/sample HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%sTransfer-Encoding: chunked\r\n\r\n"
        % _LINE
    )
    small = b"3\r\nn=0\r\n0\r\n\r\n"
    assert b"input should be greater than or equal to 1" in talk(address, head + small)
    large = 5 * (b"400\r\n" + bytes(1024) + b"\r\n") + b"0\r\n\r\n"
    received = talk(address, head + large)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert _TOO_LARGE in received


def test_a_multipart_body_is_counted_too(client):
    answer = client.post("/v1/encode", files={"faces": png(face(0)) + bytes(1 << 20)})
    assert answer.status_code == 413
    assert "expected a body of at most 1,048,576 bytes" in answer.json()["error"]


def test_limits_below_1_are_refused():
    with pytest.raises(InputError, match="expected max_queue of at least 1, got 0"):
        Limits(max_queue=0)


def test_a_port_that_is_taken_is_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"expected a free port {port} at 127.0.0.1: .*; choose another"):
            listen(port=port)


def test_the_answer_says_how_a_name_is_added(client):
    answer = client.get("/v1/health", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    expected = "expected a request to 127.0.0.1, ::1, localhost, got one to 'evil.example'; --allow-host adds a name"
    assert answer.json() == {"error": expected}
    answer = client.post("/v1/sample", headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert answer.json() == {"error": "expected a page of 'localhost' to ask, got 'http://evil.example'"}
