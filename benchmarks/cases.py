"""What is timed. Pictures come as uint8 on the host and leave so; latents stay as the contestant keeps them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flowxfer.transferer import PAPER_ALPHAS
from flowxfer.types import Images

from .peers.runner import Runner

__all__ = ["CASES", "Case", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """What a case is given: N images, their latents, and a direction of one, both as the runner keeps them."""

    images: Images
    latents: Any
    direction: Any


@dataclass(frozen=True)
class Case:
    """One thing to time.

    Args:
        about: what it is, for the report.
        run: does it once.
        passes: images encoded and decoded for N images, in all.
        batch: the only N, or None where any will do.
    """

    about: str
    run: Callable[[Runner, Inputs], Any]
    passes: Callable[[int], int]
    batch: int | None = None


CASES = {
    "encode": Case("images to latents", lambda r, x: r.encode(x.images), lambda n: n),
    "decode": Case("latents to images", lambda r, x: r.decode(x.latents), lambda n: n),
    "transfer": Case(
        "encode, add a direction, decode", lambda r, x: r.transfer(x.images, x.direction), lambda n: 2 * n
    ),
    "sweep": Case(
        "one face in eleven strengths: encode once, decode eleven times",
        lambda r, x: r.sweep(x.images[:1], x.direction, PAPER_ALPHAS),
        lambda n: 1 + n,
        batch=len(PAPER_ALPHAS),
    ),
    "film": Case(
        "eight frames of a film, one after the other into an iterator",
        lambda r, x: r.film(x.images, x.direction),
        lambda n: 2 * n,
        batch=8,
    ),
}
