"""Figures of a run: always as CSV, and for TensorBoard where it is installed."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Any

__all__ = ["CsvLog", "TensorBoardLog"]


class CsvLog:
    """A CSV file whose first column is the step.

    Args:
        path: continued where it exists.
        columns: the names, ``"step"`` first.
        step: rows after this one are dropped: a resumed run writes them anew.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], *, step: int) -> None:
        self.path = path
        self.columns = columns
        kept: list[list[str]] = []
        if path.exists():
            with path.open(newline="", errors="replace") as file:
                kept = [row for row in csv.reader(file) if _is_whole(row, len(columns)) and int(row[0]) <= step]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([columns, *kept])

    def add(self, row: dict[str, Any]) -> None:
        """Append a row with exactly the columns; floats are written with six digits."""
        cells = [row[name] for name in self.columns]
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in cells])


def _is_whole(row: list[str], columns: int) -> bool:
    """Whether a row has a step and all its cells: the last one of a killed run may not."""
    return len(row) == columns and row[0].isdecimal()


class TensorBoardLog:
    """Curves for TensorBoard; does nothing where the package ``tensorboard`` is not installed."""

    def __init__(self, folder: Path) -> None:
        self.writer: Any = None
        if importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(folder))

    def add(self, group: str, row: dict[str, Any]) -> None:
        """Write a row's numbers under ``group``."""
        if self.writer is not None:
            for name, value in row.items():
                if isinstance(value, float):
                    self.writer.add_scalar(f"{group}/{name}", value, row["step"])
