"""Kinds of input that do what none may do, to see whether it is noticed; number 1 of each does it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from flowxfer.errors import ImageError
from tests.hardening.law import Kind, tried


def _at_number_1(misbehave: Callable[[], object]) -> Kind:
    def begin(folder: Path) -> Callable:
        numbers = iter(range(100))

        def attempt(random: Random) -> None:
            (folder / "input").write_bytes(random.randbytes(4))
            if next(numbers) == 1:
                tried(misbehave)

        return attempt

    return Kind(3, begin)


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _hang() -> None:
    signal.setitimer(signal.ITIMER_PROF, 0.2)  # what takes 20 seconds otherwise
    while True:
        pass


def _wait() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    time.sleep(1000)


def _swell() -> None:
    bytes(2 << 30)


def _trace() -> None:
    raise ImageError("expected a picture, got KeyError('IHDR')")


def _ramble() -> None:
    raise ImageError("expected a picture, " * 30)


def _stray() -> None:
    (Path.cwd().parent / "stray").write_text("outside")


def _start() -> None:
    os.system("true")


KINDS = {
    "crash": _at_number_1(_crash),
    "hang": _at_number_1(_hang),
    "wait": _at_number_1(_wait),
    "swell": _at_number_1(_swell),
    "foreign": _at_number_1(lambda: {}["missing"]),
    "trace": _at_number_1(_trace),
    "ramble": _at_number_1(_ramble),
    "stray": _at_number_1(_stray),
    "start": _at_number_1(_start),
}
