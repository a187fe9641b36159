"""The same batch on a Ray cluster of two workers."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.conftest import contents

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 150


@pytest.fixture(scope="session")
def surroundings(tmp_path_factory):
    """Variables of Ray's processes: they find the tests, and leave a home folder and the network alone."""
    home = tmp_path_factory.mktemp("home")
    own = {"HOME": str(home), "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # for this cluster alone
    return os.environ | own | token


@pytest.fixture(scope="session")
def cluster(surroundings):
    """The address of a running cluster, and the process that everything in it descends from."""
    program = [sys.executable, "-m", "tests.cluster.on_ray", "start"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(program, cwd=ROOT, env=surroundings, **pipes) as head:
        lines = []
        for line in head.stdout:
            if line.strip() == "started":
                break
            lines.append(line.strip())
        yield lines[-1], head.pid
        head.stdin.close()


def run(surroundings, *program, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", *map(str, program)],
        cwd=cwd,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


def test_killed_workers_lose_nothing(cluster, surroundings, inputs, done_here, tiny_bundle, tmp_path):
    address, head = cluster
    output = tmp_path / "out"
    result = run(surroundings, "tests.cluster.on_ray", "kill", address, head, inputs, output, tiny_bundle)
    assert result.stdout.splitlines()[-1:] == ["killed 2, failed 0"], result.stdout + result.stderr
    assert contents(output) == done_here


def test_the_command(cluster, surroundings, tiny_bundle, inputs, recipe, tmp_path):
    from flowxfer import images

    images.save(recipe.expression, tmp_path / "smile.png")
    images.save(recipe.neutral[0], tmp_path / "neutral.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    faces = [inputs / f"face{index}.png" for index in range(6)]
    line = ["flowxfer", "batch", *faces, "bad.png", "-e", "smile.png", "-n", "neutral.png", "-m", tiny_bundle]
    ray = ["--engine", "ray", "--address", cluster[0], "--workers", "2", "-o", "far"]
    far, near = run(surroundings, *line, *ray, cwd=tmp_path), run(surroundings, *line, "-o", "near", cwd=tmp_path)
    assert contents(tmp_path / "far") == contents(tmp_path / "near")
    for result, folder in ((far, "far"), (near, "near")):
        assert result.returncode == 1, result.stderr
        assert sorted(result.stdout.split()) == [str(tmp_path / folder / path.name) for path in faces]
        *_, failure, count = result.stderr.splitlines()
        assert failure.startswith(f"{tmp_path / 'bad.png'}  expected a picture (PNG, JPEG, WebP, …) in ")
        assert count == "flowxfer: 6 written, 0 were there already, 1 failed"


def test_a_cluster_that_is_not_there(surroundings, tiny_bundle, inputs, tmp_path):
    face = inputs / "face1.png"
    line = ["flowxfer", "batch", face, "-e", face, "-n", face, "-m", tiny_bundle, "-o", tmp_path / "out"]
    result = run(surroundings, *line, "--engine", "ray", "--address", "127.0.0.1:9")
    assert result.returncode == 2
    assert "expected a Ray cluster at 127.0.0.1:9, but" in result.stderr.splitlines()[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_killed_driver_takes_its_ray_with_it(surroundings):
    """A Ray that a command started for itself; one that was there goes on."""
    code = (
        "import ray, time; from flowxfer.cluster import OnRay\n"
        "guard = OnRay()._connect(); print(guard.args[-1], guard.pid, flush=True); time.sleep(100)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=surroundings, stdout=subprocess.PIPE) as driver:
        session = next(line for line in driver.stdout if line.startswith(b"session_")).split()[0]
        assert _processes(session)
        driver.kill()
    end = time.monotonic() + 60
    while _processes(session) and time.monotonic() < end:
        time.sleep(0.2)
    assert _processes(session) == []


def _processes(session):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if session in path.read_bytes():
                found.append(path.parent.name)
    return found
