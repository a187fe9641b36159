"""Runs commands and kills them at given moments: `python -m tests.hardening.killed JOB.json`.

A moment is a place in the sequence of what a command does to the files of its output folder, so that it does not depend
on how fast the machine is; after half of them a few more milliseconds pass, which end within what libraries write.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link"}


def main() -> None:
    """Count what the command does when nothing kills it; then kill it at each share of that, and keep what it left."""
    job = json.loads(Path(sys.argv[1]).read_text())
    folder, states = Path(job["output"]), Path(job["states"])
    import flowxfer.cli
    import flowxfer.export
    import flowxfer.glow.importers
    import flowxfer.glow.training  # noqa: F401 - loaded once, before the processes part

    total = _in_a_child(job, states / "total", None)[1]
    shutil.copytree(folder, states / "whole")
    _empty(folder)
    statuses = []
    for number, share in enumerate(job["shares"]):
        if job["goes_on"]:
            _empty(folder)  # what goes on where it stopped has less to do, and would be over before its moment
        moment = (max(1, math.ceil(share * total)), 0.0 if number % 2 else share * 0.02)
        statuses.append(_in_a_child(job, states / "count", moment)[0])
        shutil.copytree(folder, states / str(number))
    print(json.dumps({"events": total, "statuses": statuses}))


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _in_a_child(job: dict[str, Any], count: Path, moment: tuple[int, float] | None) -> tuple[int, int]:
    """Run the command in a process of its own; return how it ended, and how many events there were."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            events = _watch(str(Path(job["output"]).resolve()), moment)
            status = _run(job)
            count.write_text(str(events[0]))
        finally:
            sys.stdout.flush()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    counted = count.read_text() if count.exists() else ""  # who is killed while it is written leaves it empty
    return status, int(counted or 0)


def _run(job: dict[str, Any]) -> int:
    if "url" in job:
        from flowxfer.models.download import fetch
        from flowxfer.models.hub import Model

        fetch(Model("published", "a model", "MIT", urls=(job["url"],)))
        return 0
    from flowxfer.cli import app

    os.chdir(job["here"])
    try:
        app(job["command"], prog_name="flowxfer")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _watch(folder: str, moment: tuple[int, float] | None) -> list[int]:
    """Count the events of a folder, and end the process at one of them or a little later, as kill -9 does."""
    events = [0]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        if os.path.realpath(os.fsdecode(arguments[0])).startswith(folder):
            events[0] += 1
            if moment and events[0] == moment[0]:
                if not moment[1]:
                    os.kill(os.getpid(), signal.SIGKILL)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)  # it ends the process at once, without any clean-up
                signal.setitimer(signal.ITIMER_REAL, moment[1])

    sys.addaudithook(hook)
    return events


if __name__ == "__main__":
    main()
