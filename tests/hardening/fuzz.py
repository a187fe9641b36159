"""Damaged inputs of every kind, each tried in a process of its own that may crash, hang or run out of memory.

    python -m tests.hardening.fuzz --kind png --inputs 1000000

An input depends on its kind and its number alone: ``--first 4711 --inputs 1`` makes and tries the same one again.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.hardening.law import Attempt, Kind

MODULES = ("pictures", "models", "tables", "unfinished")
SECONDS = 20  # of computing that one input may take
MEMORY = 1 << 30  # bytes beyond what a process has when it begins
FILES = 256 << 20  # bytes that one file may have
MOST = 20  # findings of a kind, which are enough to look at
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Finding:
    """An input that was neither used nor refused with one sentence."""

    kind: str
    number: int
    what: str
    kept: Path | None

    def __str__(self) -> str:
        again = f"python -m tests.hardening.fuzz --kind {self.kind} --first {self.number} --inputs 1"
        return f"{self.what}\n  again: {again}\n  input: {self.kept}"


def kinds(module: str) -> dict[str, Kind]:
    """The kinds of one module, whose libraries are loaded with it."""
    name = module if "." in module else f"tests.hardening.{module}"
    found: dict[str, Kind] = importlib.import_module(name).KINDS
    return found


def fuzz(module: str, kind: str, inputs: int, *, first: int = 0, keep: Path | None = None) -> list[Finding]:
    """Try inputs ``first`` to ``first + inputs - 1``; a process that dies is followed by another behind the input.

    Args:
        module: which has the kind.
        kind: its name.
        inputs: how many.
        first: number of the first.
        keep: a folder for the inputs that were found.
    """
    findings: list[Finding] = []
    end = first + inputs
    while first < end and len(findings) < MOST:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "inside").mkdir()
            command = [sys.executable, "-m", "tests.hardening.fuzz", "--work", name, "--kind", f"{module}:{kind}"]
            command += ["--first", str(first), "--inputs", str(end - first)]
            own = {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_CACHE_DIR": str(folder / "inside" / "inductor")}
            environment = os.environ | own  # PyTorch may make that folder at a first import
            done = subprocess.run(
                command, cwd=_ROOT, env=environment, capture_output=True, text=True, errors="replace", check=False
            )
            number = int((folder / "number").read_text() or first) if (folder / "number").exists() else end
            said = [json.loads(line) for line in (folder / "said").read_text().splitlines()] if number < end else []
            if done.returncode:
                said.append({"number": number, "what": _death(done)})
                shutil.copytree(folder / "inside", folder / str(number), dirs_exist_ok=True)
            for one in said:
                kept = keep and keep / f"{kind}-{one['number']}"
                if kept:
                    shutil.copytree(folder / str(one["number"]), kept, dirs_exist_ok=True)
                findings.append(Finding(kind, one["number"], one["what"], kept))
        first = number + 1
    return findings


def _death(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode in (-signal.SIGPROF, -signal.SIGALRM):
        return f"no end after {SECONDS} seconds"
    name = signal.Signals(-done.returncode).name if done.returncode < 0 else f"status {done.returncode}"
    return f"the process died of {name}: {done.stderr.strip()[-2000:]}"


# ---------------------------------------------------------------- in the process of its own


def work(folder: Path, module: str, kind: str, first: int, inputs: int) -> None:
    """Try inputs, and say in ``folder/said`` what was found; what is being tried lies in ``folder/inside``."""
    inside, found = folder / "inside", 0
    attempt = kinds(module)[kind].begin(inside)
    os.chdir(inside)
    os.environ["FLOWXFER_CACHE"] = str(inside)
    tempfile.tempdir = str(inside)
    platform.platform()  # which asks another program once, and remembers
    outside: list[str] = []
    with (folder / "number").open("wb", buffering=0) as place, (folder / "said").open("w", buffering=1) as said:
        _bound()
        sys.addaudithook(lambda event, arguments: _watch(event, arguments, inside, outside))
        for index in range(first, first + inputs):
            os.pwrite(place.fileno(), str(index).encode(), 0)
            what = _tried(attempt, Random(f"{kind} {index}")) or (outside and f"it wrote elsewhere: {outside}")
            if what:
                said.write(json.dumps({"number": index, "what": what[:2000]}) + "\n")
                shutil.copytree(inside, folder / str(index))
                outside.clear()
                found += 1
                if found == MOST:
                    return


def _tried(attempt: Attempt, random: Random) -> str | None:
    """What is wrong; the process ends where an input has no end."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of computing, for the machine may be busy
    signal.setitimer(signal.ITIMER_REAL, 10 * SECONDS)  # of waiting
    try:
        attempt(random)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def _bound() -> None:
    """Let nothing take much more memory or disk, nor leave a core file; a hang ends the process."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    for limit, value in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + MEMORY),
        (resource.RLIMIT_FSIZE, FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))
    faulthandler.enable()
    for name in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(name, signal.SIG_DFL)


def _watch(event: str, arguments: tuple[Any, ...], inside: Path, outside: list[str]) -> None:
    """Note what is written, made, moved or removed elsewhere."""
    if event == "open":
        path, _, flags = arguments
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        paths = [path] if writes else []
    elif event in ("os.mkdir", "os.remove", "os.rmdir"):
        paths = [arguments[0]]
    elif event in ("os.rename", "os.link", "os.symlink"):
        paths = list(arguments[:2])
    elif event == "subprocess.Popen" and str(arguments[1][-1]).endswith("flowxfer/video/io/_trial.py"):
        return  # the process that opens a film first, within bounds
    elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class"):
        outside.append(f"{event} {arguments[0]}")
        return
    else:
        return
    for path in paths:
        if isinstance(path, (str, bytes, os.PathLike)):
            where, home = os.path.realpath(os.fsdecode(path)), os.path.realpath(inside)
            if where not in (home, os.devnull) and not where.startswith(home + os.sep):
                outside.append(f"{event} {where}")


def main() -> int:
    """The command; its status is 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", help="one of them; by default all")
    parser.add_argument("--inputs", type=int, help="of each kind; by default as many as in CI")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--keep", type=Path, default=Path("findings"), help="where what is found is kept")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        module, _, kind = options.kind.rpartition(":")
        work(options.work, module, kind, options.first, options.inputs)
        return 0
    found = 0
    for module in MODULES:
        for name, kind in kinds(module).items():
            if options.kind in (None, name):
                findings = fuzz(module, name, options.inputs or kind.inputs, first=options.first, keep=options.keep)
                print(f"{name}: {options.inputs or kind.inputs} inputs, {len(findings)} findings", flush=True)
                print(*(f"- {finding}" for finding in findings), sep="\n")
                found += len(findings)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
