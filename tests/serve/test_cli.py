"""The command: it says where it listens, answers there, and ends when it is told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request

import pytest
from typer.testing import CliRunner

from flowxfer.cli import app


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_on_the_loopback_until_it_is_told_to_end(tiny_bundle, end):
    command = [sys.executable, "-m", "flowxfer", "serve", "--port", "0", "-m", str(tiny_bundle), "--max-queue", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line.startswith("tiny at http://127.0.0.1:")
        assert line.endswith("; Ctrl-C ends it\n")
        with urllib.request.urlopen(line.split()[2].rstrip(";") + "/v1/health", timeout=30) as answer:
            health = json.load(answer)
        process.send_signal(end)
        assert process.wait(30) == (0 if end is signal.SIGINT else -signal.SIGTERM)
        assert process.stderr.read() == ""
    assert (health["model"]["name"], health["queue"]["limit"]) == ("tiny", 3)


def test_mistakes(tiny_bundle, monkeypatch):
    def refused(*options):
        result = CliRunner().invoke(app, ["serve", "-m", str(tiny_bundle), *options])
        assert result.exit_code == 2, result.output
        return result.stderr

    assert "expected a free port 8000 at 203.0.113.1" in refused("--host", "203.0.113.1")  # of a network for examples
    assert "--max-queue" in refused("--max-queue", "0")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    for name in [name for name in sys.modules if name.startswith("flowxfer.serve")]:
        monkeypatch.delitem(sys.modules, name)
    assert "`flowxfer serve` needs uvicorn, which is not installed; pip install 'flowxfer[serve]'" in refused()
