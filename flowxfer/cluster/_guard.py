"""Ends what a local Ray leaves behind when its driver is killed; run as a script, by the driver.

It waits for its stdin to close, which the system sees to however the driver ends, and gives Ray some seconds to end by
itself. Its agents would otherwise go on for ever.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator

_GRACE_S = 5.0


def main() -> None:
    """Wait, and end the processes of the session that is named."""
    sys.stdin.buffer.read()
    end = time.monotonic() + _GRACE_S
    while (left := list(_of_session(sys.argv[1].encode()))) and time.monotonic() < end:
        time.sleep(0.2)
    for process in left:
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)


def _of_session(session: bytes) -> Iterator[int]:
    """Processes of this user that name the session among their arguments."""
    with contextlib.suppress(FileNotFoundError):  # where there is no /proc, nothing is found
        for name in os.listdir("/proc"):
            if name.isdecimal() and int(name) != os.getpid():
                with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
                    if session in file.read() and os.stat(f"/proc/{name}").st_uid == os.getuid():
                        yield int(name)


if __name__ == "__main__":
    main()
