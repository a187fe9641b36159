"""What the machine lacks: disk, home, a folder to write to, ONNX Runtime; and many threads at once."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import numpy as np
import pytest

from flowxfer import images
from flowxfer.engines.probes import probe

SIZE = 32
ROOT = Path(__file__).parents[2]


@pytest.fixture
def faces(tmp_path):
    for index, name in enumerate(("target", "smile", "neutral")):
        images.save(probe("photograph", SIZE, index), tmp_path / f"{name}.png")
    return tmp_path


def flowxfer(line, folder, *, before="", **environment):
    """Run a command in a process of its own, after some Python."""
    program = f"{before}\nfrom flowxfer.cli import main\nmain()"
    command = [sys.executable, "-c", program, *shlex.split(line)]
    surroundings = {name: value for name, value in os.environ.items() if name not in ("HOME", "FLOWXFER_CACHE")}
    surroundings |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=surroundings | environment, capture_output=True, text=True, check=False
    )


def refused(done):
    """The one sentence on stderr of a command that ends as a mistake does."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("flowxfer: ")
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 500
    return done.stderr


# ---------------------------------------------------------------- disk and folders

FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))
"""


@pytest.mark.parametrize(
    "line",
    [
        "transfer -t target.png -e smile.png -n neutral.png -m {model} -o new/out.png",
        "encode target.png -m {model} -o new/z.safetensors",
        "sweep -t target.png -e smile.png -n neutral.png -m {model} --alphas 0.3 --gif -o new",
    ],
    ids=lambda line: line.split()[0],
)
def test_a_file_that_does_not_fit_is_one_sentence_and_leaves_nothing(line, faces, tiny_bundle):
    sentence = refused(flowxfer(line.format(model=tiny_bundle), faces, before=FULL))
    assert "File too large" in sentence  # how a limit shows; a full disk is the same error with another number
    assert list((faces / "new").iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_full(faces, tiny_bundle):
    disk = faces / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    try:
        (disk / "full").write_bytes(bytes(60 * 1024))
        line = f"encode target.png smile.png neutral.png -m {tiny_bundle} -o disk/z.safetensors"
        assert "No space left on device" in refused(flowxfer(line, faces))
        assert [path.name for path in disk.iterdir()] == ["full"]
    finally:
        subprocess.run(["umount", disk], check=True)


# Root may write everywhere, but not without capabilities.
ORDINARY = """
import ctypes
if ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()):
    raise SystemExit("the capabilities stay")
"""


@pytest.mark.parametrize(
    "line",
    [
        "transfer -t target.png -e smile.png -n neutral.png -m {model} -o locked/out.png",
        "sweep -t target.png -e smile.png -n neutral.png -m {model} --alphas 0.3 -o locked/new",
    ],
    ids=lambda line: line.split()[0],
)
def test_a_folder_that_nobody_may_write_to(line, faces, tiny_bundle):
    (faces / "locked").mkdir(mode=0o500)
    assert "Permission denied" in refused(flowxfer(line.format(model=tiny_bundle), faces, before=ORDINARY))
    assert list((faces / "locked").iterdir()) == []


def test_a_folder_that_cannot_be_one(faces, tiny_bundle):
    line = f"transfer -t target.png -e smile.png -n neutral.png -m {tiny_bundle} -o target.png/out.png"
    assert "target.png" in refused(flowxfer(line, faces))


def test_no_home_and_no_cache(faces, tiny_bundle):
    """A cache that cannot be written is needed for nothing that is there already."""
    line = f"transfer -t target.png -e smile.png -n neutral.png -m {tiny_bundle} -o out.png --alpha 0"
    done = flowxfer(line, faces, HOME="/nonexistent", FLOWXFER_CACHE="/dev/null/cache")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(images.load(faces / "out.png"), images.load(faces / "target.png"))


def test_nobodys_home(faces, tiny_bundle):
    """A user whom the system does not know, as in some containers: only what needs the cache asks for one."""
    homeless = "import pwd\ndef unknown(uid): raise KeyError(uid)\npwd.getpwuid = unknown"
    line = f"transfer -t target.png -e smile.png -n neutral.png -m {tiny_bundle} -o out.png"
    assert flowxfer(line, faces, before=homeless).returncode == 0
    assert "there is none; set FLOWXFER_CACHE" in refused(flowxfer("models", faces, before=homeless))


# ---------------------------------------------------------------- ONNX Runtime

BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'onnxruntime':
            raise ImportError(f"No module named {name}", name=name)
sys.meta_path.insert(0, Blocked())
"""
BOTH = """
from importlib import metadata
known = metadata.version
metadata.version = lambda name: "1.31.1" if name.startswith("onnxruntime") else known(name)
"""


def test_without_onnx_runtime_one_sentence_names_the_extras(faces, tiny_bundle):
    line = f"transfer -t target.png -e smile.png -n neutral.png -m {tiny_bundle} -o out.png"
    sentence = refused(flowxfer(line, faces, before=BLOCKED))
    assert "running a model needs onnxruntime, which is not installed; pip install 'flowxfer[cpu]'" in sentence
    assert not (faces / "out.png").exists()


BROKEN = """
import sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'onnxruntime':
            raise ImportError("libcudart.so.13: cannot open shared object file")
sys.meta_path.insert(0, Broken())
"""
EMPTY = "import sys, types\nsys.modules['onnxruntime'] = types.ModuleType('onnxruntime')"  # as pip may leave it
PART = BROKEN.replace('file")', 'file", name="onnxruntime.capi")')


@pytest.mark.parametrize(
    ("before", "why"),
    [(BROKEN, "libcudart.so.13: cannot open"), (PART, "libcudart.so.13"), (EMPTY, "it has no InferenceSession")],
    ids=["a library is missing", "a part is missing", "empty"],
)
def test_a_broken_onnx_runtime_is_not_called_a_missing_one(faces, tiny_bundle, before, why):
    line = f"transfer -t target.png -e smile.png -n neutral.png -m {tiny_bundle} -o out.png"
    sentence = refused(flowxfer(line, faces, before=before))
    assert "expected an ONNX Runtime that can be loaded, got a broken one" in sentence
    assert why in sentence
    assert "then install one of them again: 'flowxfer[cpu]' or 'flowxfer[gpu]'" in sentence
    doctor = flowxfer("doctor", faces, before=before)
    assert doctor.returncode == 1
    assert "got a broken one" in " ".join(doctor.stdout.split())


def test_doctor_sees_that_onnx_runtime_is_missing_or_there_twice(faces):
    missing = flowxfer("doctor", faces, before=BLOCKED)
    assert missing.returncode == 1
    assert "onnxruntime cannot be imported" in missing.stdout.replace("\n", " ")
    twice = flowxfer("doctor", faces, before=BOTH)
    assert twice.returncode == 1
    assert "overwrite each other's files" in " ".join(twice.stdout.split())


# ---------------------------------------------------------------- threads


def test_eight_threads_that_do_everything_at_once(tiny_transferer):
    """Encoding, decoding, sweeps, mixes and samples in any order give what they give one after the other."""
    faces = [probe("photograph", SIZE, seed) for seed in range(6)]
    z = tiny_transferer.encode(np.stack(faces))
    calls = {
        "encode": lambda i: np.concatenate([level.ravel() for level in tiny_transferer.encode(faces[i]).levels]),
        "decode": lambda i: tiny_transferer.decode(z[i]),
        "sweep": lambda i: tiny_transferer.sweep(faces[i], faces[i - 1], faces[i - 2], (0.1, 0.4)),
        "mix": lambda i: tiny_transferer.mix(faces[i], faces[i - 1]),
        "sample": lambda i: tiny_transferer.sample(2, seed=i),
        "frames": lambda i: np.stack(list(tiny_transferer.frames(faces, faces[i], faces[i - 1]))),
    }
    work = [(name, index) for name in calls for index in range(len(faces))] * 3
    expected = {(name, index): calls[name](index) for name, index in work}
    Random(0).shuffle(work)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda call: calls[call[0]](call[1]), work))
    for call, array in zip(work, got, strict=True):
        np.testing.assert_array_equal(array, expected[call], err_msg=str(call))
