"""What holds of every input: a result, or one sentence; and what a kind of input is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from flowxfer.errors import FlowxferError, WeightsError
from tests.hardening.mutation import mutated

__all__ = ["LONGEST", "Attempt", "Kind", "check_message", "file", "tried"]

LONGEST = 500
"""Characters that an error's sentence may have."""

_TRACES = re.compile(r'Traceback|File "|\b[A-Z]\w*(Error|Exception)\b(\(|: )')

Attempt = Callable[[Random], None]
Use = Callable[[Path], Any]


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Args:
        inputs: how many of them are tried in CI.
        begin: makes an attempt in an empty folder: one more input at every call, made and used.
    """

    inputs: int
    begin: Callable[[Path], Attempt]


def tried(use: Callable[..., Any], *arguments: Any) -> None:
    """Use an input; every exception but flowxfer's own, and every message that is no sentence, is an error."""
    try:
        use(*arguments)
    except FlowxferError as error:
        check_message(error)


def check_message(error: FlowxferError) -> None:
    """One sentence of at most 500 characters; where weights do not fit, the list of them may follow, a line each."""
    sentence, *rest = str(error).split("\n")
    assert sentence.strip(), "an empty message"
    assert len(sentence) <= LONGEST, f"a sentence of {len(sentence)} characters: {sentence[:200]} …"
    assert not (found := _TRACES.search(str(error))), f"{found[0]!r} in: {sentence}"
    if isinstance(error, WeightsError):
        rest = [line for line in rest if not line.startswith("  ")]
    assert not rest, f"several lines: {error}"


def file(name: str, seeds: Sequence[bytes], *uses: Use, repair: Callable[[bytes], bytes] | None = None) -> Callable:
    """Inputs that are one file each.

    Args:
        name: of the file, in the folder of the attempt.
        seeds: sound ones.
        uses: what is done with each.
        repair: makes checksums right again, for half of the inputs.
    """

    def begin(folder: Path) -> Attempt:
        def attempt(random: Random) -> None:
            data = mutated(seeds, random)
            if repair and random.random() < 0.5:
                data = repair(data)
            (folder / name).write_bytes(data)
            for use in uses:
                tried(use, folder / name)

        return attempt

    return begin
