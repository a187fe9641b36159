"""The command: it says where the page is, serves it, and leaves no file behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from typer.testing import CliRunner

from flowxfer.cli import app


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_on_the_loopback_until_it_is_told_to_end(tiny_bundle, tmp_path, end):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "flowxfer", "app", "--port", str(port), "-m", str(tiny_bundle)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as process:
        try:
            assert process.stdout.readline() == f"tiny at http://127.0.0.1:{port}/; Ctrl-C ends it\n"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                assert b"flowxfer" in answer.read()
            assert list(tmp_path.iterdir())
            process.send_signal(end)
            assert process.wait(30) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()
    assert [path.name for path in tmp_path.iterdir() if path.name != ".ses"] == []  # which is ONNX Runtime's


def test_a_port_that_is_taken(tiny_bundle):
    def refused(*options):
        result = CliRunner().invoke(app, ["app", "-m", str(tiny_bundle), *options])
        assert result.exit_code == 2, result.output
        return result.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"expected a free port {port} at 127.0.0.1: Address already in use" in refused("--port", str(port))


def test_without_gradio_one_sentence_names_the_extra(tiny_bundle):
    """In a process of its own, for where Gradio keeps uploads is decided once in each."""
    code = "import sys; sys.modules['gradio'] = None; from flowxfer.cli import app; app()"
    result = subprocess.run(
        [sys.executable, "-c", code, "app", "-m", str(tiny_bundle)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "`flowxfer app` needs gradio, which is not installed; pip install 'flowxfer[app]'" in result.stderr
