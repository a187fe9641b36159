"""Where the paper's repository has what, and what a finished run of its protocol consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowxfer.images import Pixels

__all__ = ["Layout", "Progress", "Results", "strip"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many of it are, and of how many."""


@dataclass(frozen=True)
class Layout:
    """The folders and names of https://github.com/aandvalenzuela/normalizing-flows, in a folder of ours."""

    root: Path

    @property
    def run(self) -> Path:
        """What the run is: JSON."""
        return self.root / "run.json"

    @property
    def holds_results(self) -> bool:
        """Whether the folders that a run fills are there."""
        return (self.root / "results").exists() or (self.root / "evaluation").exists()

    def mean(self, person: str) -> Path:
        """A person's mean face."""
        return self.root / "results" / "means" / f"{person}_mean.png"

    def expression(self, number: int) -> Path:
        """Folder of everybody with an expression."""
        return self.root / "results" / "transferring" / f"expression{number}"

    def picture(self, number: int, person: str, alpha: float) -> Path:
        """A person with an expression."""
        return self.expression(number) / person / str(alpha) / f"{person}_{alpha}.png"

    def strip(self, number: int, person: str) -> Path:
        """The same in all strengths."""
        return self.expression(number) / f"{person}.png"

    def likeliness(self, number: int) -> Path:
        """Distances to source and target."""
        return self.root / "evaluation" / "likeliness" / f"expression{number}.csv"

    def units(self, name: str) -> Path:
        """Action units of ``expression1``, …, or of the expressions themselves, ``reference``."""
        return self.root / "evaluation" / "quality" / f"AUs_{name}.csv"

    def raw_units(self, number: int) -> Path:
        """Folder of OpenFace's own files."""
        return self.root / "evaluation" / "quality" / "raw_data" / f"processed_expression{number}"

    def tidy(self, name: str) -> Path:
        """A table of ours."""
        return self.root / "evaluation" / f"{name}.csv"


@dataclass(frozen=True)
class Results:
    """The pictures of a run, which lie in a layout.

    Args:
        layout: where.
        source: who performed.
        targets: who received.
        expressions: file of each expression, by number.
        alphas: strengths.
    """

    layout: Layout
    source: str
    targets: tuple[str, ...]
    expressions: dict[int, Path]
    alphas: tuple[float, ...]

    def pictures(self, number: int) -> list[Path]:
        """Every target with an expression, in every strength."""
        return [self.layout.picture(number, person, alpha) for person in self.targets for alpha in self.alphas]


def strip(pictures: Pixels) -> Pixels:
    """Put N pictures (N, S, S, 3) into the paper's strip, (S + 1, N · (S + 1), 3), uint8.

    The published canvas has a line to spare for each picture, yet the pictures touch: the black lines lie all together
    at its right, and one at its bottom.
    """
    count, size = pictures.shape[:2]
    page = np.zeros((size + 1, count * (size + 1), 3), np.uint8)
    page[:size, : count * size] = np.concatenate(list(pictures), 1)
    return page
