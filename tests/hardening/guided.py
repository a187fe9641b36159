"""Inputs that coverage leads to, by atheris (libFuzzer), one entrance after the other:

    pip install atheris
    python -m tests.hardening.guided --seconds 3600 xmp marked-files

Each search begins with sound inputs and the corpus in this folder. With ``--keep`` the corpus takes in what led to new
branches, and CI tries it again. An input that fails lies in ``findings/``:

    python -m tests.hardening.guided --again findings/crash-… xmp
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
NAMES = ("manifest", "latents", "graphs", "graph-defs", "checkpoints", "xmp", "marked-files", "requests")
_ROOT = Path(__file__).parents[2]
_LIMITS = ("-max_len=8192", "-timeout=20", "-rss_limit_mb=3072")


def search(name: str, seconds: int, findings: Path, *, keep: bool) -> int:
    """Search for a time; the status is not 0 where an input failed.

    Args:
        name: of the entrance.
        seconds: how long.
        findings: a folder for the input that failed.
        keep: whether the corpus takes in what was found, the smallest inputs that reach every branch.
    """
    corpus = CORPUS / name
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder, "new")
        for made in (findings, corpus, new):
            made.mkdir(parents=True, exist_ok=True)
        end = f"-max_total_time={seconds}", f"-artifact_prefix={findings.resolve()}/"
        status = _atheris(name, folder, *end, str(new), str(corpus))
        found = len(list(new.iterdir()))
        if keep:
            _atheris(name, folder, "-set_cover_merge=1", "-use_counters=0", str(corpus), str(new))
    print(f"{name}: {found} inputs led to new branches, {len(list(corpus.iterdir()))} are kept", flush=True)
    return status


def _atheris(name: str, folder: str, *options: str) -> int:
    """Run libFuzzer in a process of its own, for it never returns."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": folder}
    done = subprocess.run([*_command(name), *_LIMITS, *options], cwd=_ROOT, env=environment, check=False)
    return done.returncode


def _command(name: str) -> list[str]:
    return [sys.executable, "-m", "tests.hardening.guided", "--work", name]


def work(name: str, options: list[str]) -> None:
    """Load an entrance with its branches counted, and hand it to libFuzzer, which ends the process."""
    import atheris

    logging.disable()

    with atheris.instrument_imports(include=["flowxfer"]):
        from tests.hardening.entrances import ENTRANCES

        entrance = ENTRANCES[name](Path(tempfile.mkdtemp()))
        use, seeds = entrance.__enter__()  # never left, for the process ends within it
    sound = Path(tempfile.mkdtemp())
    for index, seed in enumerate(seeds):
        (sound / str(index)).write_bytes(seed)
    again = Path(tempfile.mkdtemp(), "again")  # what libFuzzer takes for its program, and runs to merge
    again.write_text(f'#!/bin/sh\nexec {shlex.join(_command(name))} "$@"\n')
    again.chmod(0o700)
    atheris.Setup([str(again), *options, str(sound)], use)
    atheris.Fuzz()


def main() -> int:
    """The command; its status is 1 where something was found."""
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="entrances; by default all")
    parser.add_argument("--seconds", type=int, default=60, help="for each")
    parser.add_argument("--keep", action="store_true", help="add what is found to the corpus")
    parser.add_argument("--findings", type=Path, default=Path("findings"), help="where what fails is kept")
    parser.add_argument("--again", type=Path, help="try one input")
    given = parser.parse_args()
    if given.again:
        from tests.hardening.entrances import ENTRANCES

        with tempfile.TemporaryDirectory() as folder, ENTRANCES[given.names[0]](Path(folder)) as (use, _):
            use(given.again.read_bytes())
        return 0
    if importlib.util.find_spec("atheris") is None:
        parser.error("expected atheris, which is not installed; pip install atheris brings it")
    failed = [name for name in given.names or NAMES if search(name, given.seconds, given.findings, keep=given.keep)]
    return min(1, len(failed))


if __name__ == "__main__":
    sys.exit(main())
