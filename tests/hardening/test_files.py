"""Temporary files: those of killed processes go, those of running ones stay."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from flowxfer import files
from flowxfer.files import replacing

WRITE = """
import os, signal, sys
from pathlib import Path
from flowxfer.files import replacing, temporary_folder
with temporary_folder(Path(sys.argv[1])) as folder, replacing(Path(sys.argv[1], "out.txt")) as temporary:
    (folder / "part").write_text("a part")
    temporary.write_text("a part")
    print("begun", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def another_process():
    files._remove_leftovers.cache_clear()


@pytest.fixture
def writer(tmp_path):
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", WRITE, str(tmp_path)], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        yield process
        process.kill()


def write(folder):
    with files.replacing(folder / "other.txt") as temporary:
        temporary.write_text("whole")


def test_what_another_process_writes_is_left_alone(writer, tmp_path):
    write(tmp_path)
    assert len(list(tmp_path.glob(".flowxfer-*"))) == 2
    writer.stdin.close()
    assert writer.wait() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.txt", "out.txt"]


def test_what_a_killed_process_left_is_removed(writer, tmp_path):
    writer.kill()
    writer.wait()
    assert len(list(tmp_path.glob(".flowxfer-*"))) == 2
    write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other.txt"]


def test_an_error_of_writing_says_which_file(tmp_path):
    def full():
        with replacing(tmp_path / "a.png"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"No space left on device: '.*a.png'"):
        full()
