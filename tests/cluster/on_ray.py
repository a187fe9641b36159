"""Two programs beside the tests, whose warnings and threads are theirs: a cluster of two workers, and a killer's batch.

python -m tests.cluster.on_ray start
python -m tests.cluster.on_ray kill ADDRESS HEAD_PID INPUTS OUTPUT BUNDLE
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from flowxfer.cluster import OnRay, run
from tests.cluster.inputs import SEGMENT, make_recipe, make_tasks


def start():
    """Run a cluster until stdin ends."""
    import ray

    ray.init(
        "local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=80 * 2**20,
        log_to_driver=False,
        namespace="flowxfer",
    )
    print(f"\n{ray.get_runtime_context().gcs_address}", flush=True)
    print("started", flush=True)
    sys.stdin.read()
    ray.shutdown()


def kill(address, head, inputs, output, bundle):
    """Do the batch, and kill both workers with a model after the first segment of the film."""
    killed = []

    def progress(what, done, total):
        if what == "frames" and not killed:
            killed.extend(pid for pid in descendants(int(head)) if "_Changing" in command(pid))
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    tasks, recipe = make_tasks(Path(inputs), Path(output)), make_recipe(Path(bundle))
    summary = run(tasks, recipe, OnRay(address), segment_frames=SEGMENT, progress=progress)
    print(f"killed {len(killed)}, failed {len(summary.failures)}")
    for path, why in summary.failures.items():
        print(path, why)


def descendants(ancestor):
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
    found, front = set(), {ancestor}
    while front := {pid for pid, parent in parents.items() if parent in front} - found:
        found |= front
    return found


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    {"start": start, "kill": kill}[sys.argv[1]](*sys.argv[2:])
