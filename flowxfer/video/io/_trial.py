"""Opens films whose paths come on stdin, a JSON text a line, and answers each; run as a script.

It imports nothing of flowxfer, to be there soon. A film that takes too much ends it, which is answer enough.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

_LOOK_EVERY_S = 0.02


class _Watch:
    """A thread that ends the process where a film takes too much time or memory, whatever it is in the middle of.

    A limit of the system's would only make it get no more memory, which demuxers put up with without a word.
    """

    def __init__(self, seconds: float, memory: int) -> None:
        self._seconds, self._most = seconds, _resident() + memory
        self._end: float | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self) -> None:
        self._end = time.monotonic() + self._seconds

    def __exit__(self, *_: object) -> None:
        self._end = None
        self._check()

    def _run(self) -> None:
        while True:
            time.sleep(_LOOK_EVERY_S)
            self._check()

    def _check(self) -> None:
        if _resident() > self._most or time.monotonic() > (self._end or float("inf")):
            os._exit(1)


def _resident() -> int:
    """Bytes of memory that the process has; at most, where only that is told, and 0 where nothing is."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return _peak()


def _peak() -> int:
    # Not on Linux: there it begins with what the process had that started this one.
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Answer until nobody asks any more."""
    settings = json.loads(sys.stdin.readline())
    sys.path[:] = settings["path"]
    import av

    watch = _Watch(settings["seconds"], settings["memory"])
    for line in sys.stdin:
        with watch:
            _open(av, json.loads(line), settings["options"])
        print("opened", flush=True)


def _open(av: Any, path: str, options: dict[str, str]) -> None:
    try:
        av.open(path, "r", container_options=options).close()
    except Exception:  # no film: who opens it in earnest will say so
        return


if __name__ == "__main__":
    main()
