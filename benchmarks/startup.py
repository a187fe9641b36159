"""How long a fresh process takes to import a contestant's package and to transfer once, and how much memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from .contestants import Contestant

# The import is timed before anything else is loaded, so this cannot be a module of the package.
FRESH = """
import json, sys, time
start = time.perf_counter()
for package in json.loads(sys.argv[1]):
    __import__(package)
imported = time.perf_counter() - start
from pathlib import Path
from flowxfer.benchmarks.worker import Worker
print(json.dumps({"import_s": imported, **Worker(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])).first_transfer()}))
"""

__all__ = ["fresh_processes"]


def fresh_processes(
    name: str, contestant: Contestant, model: Path, threads: int, count: int
) -> dict[str, float] | None:
    """Medians over ``count`` processes of ``import_s``, ``first_transfer_s`` and ``peak_memory_mb``.

    Returns:
        None where the contestant cannot run the model.
    """
    packages = ("flowxfer",) if name.startswith("flowxfer") else contestant.packages
    arguments = [json.dumps(packages), name, str(model), str(threads)]
    environment: Mapping[str, str] = {"OMP_NUM_THREADS": str(threads), **contestant.environment}
    found = []
    for _ in range(count):
        process = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FRESH, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | environment,
        )
        if process.returncode:
            return None
        found.append(json.loads(process.stdout.splitlines()[-1]))
    return {key: statistics.median(times[key] for times in found) for key in found[0]}
