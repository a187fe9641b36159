"""kill -9 at any moment: what has a name is whole, and the next run clears up and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from random import Random

import numpy as np
import pytest

from flowxfer import images
from flowxfer.bundle import Bundle
from flowxfer.errors import BundleError
from flowxfer.glow import save
from tests.glow.random_glow import random_glow
from tests.models.test_hub import CONTENT, Server

SIZE = 32
SHARES = sorted(Random(9).random() for _ in range(5))


@pytest.fixture(scope="module")
def here(tmp_path_factory, tiny_bundle):
    """People in the paper's layout, weights, and a bundle."""
    folder = tmp_path_factory.mktemp("here")
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    names = [f"people/data/id{n}_aligned/{who}{k}_aligned" for n, who in ((1, "ann"), (2, "bo")) for k in (1, 2)]
    for index, name in enumerate([*names, "people/data/expressions/bo_expression1"]):
        pixels = np.stack([3 * x + 20 * index, 3 * y + 10, 2 * x + 2 * y + 15 * index], 2).astype(np.uint8)
        images.save(pixels, folder / f"{name}.png")
    save(random_glow(image_size=8, levels=1, depth=1, width=4).float(), folder / "weights.safetensors")
    (folder / "model").symlink_to(tiny_bundle)
    return folder


ANN = "people/data/id1_aligned/ann1_aligned.png"
SMILE = "people/data/expressions/bo_expression1.png"
COMMANDS = {
    "sweep": f"sweep -t {ANN} -e {SMILE} -n people/data/id2_aligned -m model --alphas 0.3,0.4 --gif -o out --force",
    "paper": "paper people -o out -m model --alphas 0.3",
    "encode": f"encode {ANN} -m model -o out/z.safetensors --force",
    "export": "export weights.safetensors -o out/bundle --force",
}


def visible(folder):
    """What has its name, apart from locks: by path, the bytes."""
    unnamed = set(leftovers(folder))
    files = [path for path in folder.rglob("*") if path.is_file() and path not in unnamed]
    return {str(path.relative_to(folder)): content(path) for path in files if path.suffix != ".lock"}


def content(path):
    """The bytes; the header of safetensors as JSON, for its entries come in another order in every process."""
    data = path.read_bytes()
    if path.suffix != ".safetensors":
        return data
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.name.startswith((".", "tmp")) and path.suffix != ".lock"]


def kill(folder, **job):
    """Run `killed`; the states it left, and the moments that it counted."""
    output, states = folder / "out", folder / "states"
    output.mkdir()
    states.mkdir()
    (folder / "job.json").write_text(json.dumps({"output": str(output), "states": str(states), **job}))
    command = [sys.executable, "-m", "tests.hardening.killed", str(folder / "job.json")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "FLOWXFER_CACHE": str(output if "url" in job else folder)}
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["events"] >= 4, done.stderr
    assert set(said["statuses"]) <= {-9, -14, 0}, done.stderr
    assert len([status for status in said["statuses"] if status]) >= 2  # a few milliseconds may be more than was left
    return [states / str(number) for number in range(len(job["shares"]))], states / "whole"


@pytest.mark.parametrize("name", ["sweep", "paper", "encode"])
def test_a_killed_command_leaves_whole_files_and_runs_again(name, here, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(here, work, symlinks=True)
    (work / "out").symlink_to(tmp_path / "out")
    command = COMMANDS[name].split()
    states, whole = kill(tmp_path, here=str(work), command=command, goes_on=name == "paper", shares=[*SHARES, 1])
    expected = visible(whole)
    for state in states:
        found = visible(state)
        assert {path: found[path] for path in found if found[path] != expected.get(path)} == {}
    assert not leftovers(whole)
    again = [sys.executable, "-m", "flowxfer", *command]
    subprocess.run(again, cwd=work, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, check=True)
    assert visible(tmp_path / "out") == expected
    assert leftovers(tmp_path / "out") == []


def test_a_killed_export_leaves_a_whole_bundle_or_none(here, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(here, work, symlinks=True)
    (work / "out").symlink_to(tmp_path / "out")
    command = COMMANDS["export"].split()
    states, _ = kill(tmp_path, here=str(work), command=command, goes_on=False, shares=SHARES)
    for state in states:
        try:
            Bundle.open(state / "bundle")
        except BundleError as error:
            assert "expected a bundle with a manifest.json" in str(error)  # noqa: PT017 - there is none
            assert not (state / "bundle").exists()
    again = [sys.executable, "-m", "flowxfer", *command]
    subprocess.run(again, cwd=work, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, check=True)
    Bundle.open(tmp_path / "out" / "bundle")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["bundle"]


FETCH = """
import sys
from flowxfer.models.catalogue import Model
from flowxfer.models.download import fetch
fetch(Model("m", "a model", "MIT", urls=(sys.argv[1],)))
"""


def test_two_processes_that_want_a_model_download_it_once(tmp_path):
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        environment = os.environ | {"FLOWXFER_CACHE": str(tmp_path)}
        command = [sys.executable, "-c", FETCH, server.url]
        processes = [subprocess.Popen(command, cwd=Path(__file__).parents[2], env=environment) for _ in range(2)]
        assert [process.wait() for process in processes] == [0, 0]
        assert len(server.ranges) == 1
        assert (tmp_path / "downloads/m/weights.pb").read_bytes() == CONTENT
        assert leftovers(tmp_path) == []
        server.shutdown()
        thread.join()


def test_a_killed_download_leaves_no_file_and_goes_on(tmp_path, monkeypatch):
    from flowxfer.models.catalogue import Model
    from flowxfer.models.download import fetch

    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        states, whole = kill(tmp_path, url=server.url, goes_on=True, shares=SHARES)
        expected = visible(whole)
        assert expected["downloads/published/weights.pb"] == CONTENT
        for state in states:
            assert visible(state).get("downloads/published/weights.pb", CONTENT) == CONTENT
        monkeypatch.setenv("FLOWXFER_CACHE", str(tmp_path / "out"))
        target = fetch(Model("published", "a model", "MIT", urls=(server.url,)))
        assert target.read_bytes() == CONTENT
        assert visible(tmp_path / "out") == expected
        assert leftovers(tmp_path / "out") == []
        server.shutdown()
        thread.join()
