"""What a run leaves behind while it goes: logs, validations and pictures."""

from __future__ import annotations

import math
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import torch

from flowxfer.glow.pixels import from_pixels
from flowxfer.glow.training.config import TrainingConfig
from flowxfer.glow.training.logs import CsvLog, TensorBoardLog
from flowxfer.glow.training.losses import likelihood_loss
from flowxfer.glow.training.pictures import draw_samples, draw_transfers
from flowxfer.glow.training.trainer import Figures, Trainer
from flowxfer.glow.training.validation import Measures, validate
from flowxfer.images.heldout import HeldOut

__all__ = ["Report"]

STEP_COLUMNS = ("step", "seconds", *(field.name for field in fields(Figures)))
VALIDATION_COLUMNS = ("step", "method", "bits_per_dimension", "expression", "changed", "whole", "drift", "cosine")

SHEET_ROWS = 8  # of photographed people


def _mean(values: list[float]) -> float:
    """Mean of those that are numbers."""
    numbers = [value for value in values if not math.isnan(value)]
    return float(np.mean(numbers)) if numbers else math.nan


class Report:
    """The files of one run in its output folder.

    ``steps.csv`` has means over ``log_steps`` steps, in a resumed run first over those since; ``validation.csv`` and
    ``people.csv`` have the held-out measures of the averaged weights per expression, by a donor's difference
    (``flow``), by what the learned actions are of it (``actions``) and by the same arithmetic on pixels; ``pictures/``
    has samples and transfers.

    Args:
        config: of the run.
        step: at which the run starts or continues.
    """

    def __init__(self, config: TrainingConfig, *, step: int) -> None:
        folder = Path(config.output)
        self.config = config
        self.pictures = folder / "pictures"
        self.held_out: dict[str, HeldOut] = {}
        if config.people:
            self.held_out["people"] = HeldOut.photographed(config.people, config.model.image_size)
        if config.validation:
            self.held_out["validation"] = HeldOut.read(config.validation)
        self.steps = CsvLog(folder / "steps.csv", STEP_COLUMNS, step=step)
        self.validations = {
            name: CsvLog(folder / f"{name}.csv", VALIDATION_COLUMNS, step=step) for name in self.held_out
        }
        self.curves = TensorBoardLog(folder / "tensorboard")
        self._figures: list[Figures] = []

    def add(self, trainer: Trainer, figures: Figures) -> None:
        """Note one step's figures; write a row at each multiple of ``log_steps``, wherever the run was resumed."""
        self._figures.append(figures)
        if trainer.step % self.config.log_steps:
            return
        means = {name: _mean([asdict(f)[name] for f in self._figures]) for name in asdict(figures)}
        self._figures.clear()
        row = {"step": trainer.step, "seconds": trainer.seconds, **means}
        self.steps.add(row)
        self.curves.add("steps", row)

    def validate(self, trainer: Trainer) -> Measures | None:
        """Draw samples of the averaged weights; where there are held-out people, measure and draw transfers.

        Returns:
            The mean over the expressions; of rendered people, where there are both.
        """
        draw_samples(trainer.average, self.pictures / f"{trainer.step:07d}_samples.png")
        mean = None
        for name, held_out in self.held_out.items():
            mean = self._judge(trainer, name, held_out)
        return mean

    def _judge(self, trainer: Trainer, name: str, held_out: HeldOut) -> Measures:
        model, kind, table = trainer.average, self.config.kind, trainer.average_table
        sheet = "transfers" if name == "validation" else name
        rows = max(len(held_out.names), min(len(held_out), SHEET_ROWS)) if name == "people" else None
        draw_transfers(model, self.pictures / f"{trainer.step:07d}_{sheet}.png", held_out, kind, rows=rows)
        flow, pixels = validate(model, held_out, kind=kind)
        methods = {"flow": flow, "pixels": pixels}
        if table is not None:
            methods["actions"] = validate(model, held_out, kind=kind, read=table.read)[0]
        bits = self._bits_per_dimension(trainer, held_out)
        for method, measures in methods.items():
            told = {"step": trainer.step, "method": method, "bits_per_dimension": bits if method == "flow" else ""}
            for row in ({**told, **asdict(one)} for one in measures):
                self.validations[name].add(row)
                if method == "flow":
                    self.curves.add(f"{name}/{row['expression']}", row)
        return flow[-1]

    @torch.no_grad()
    def _bits_per_dimension(self, trainer: Trainer, held_out: HeldOut) -> float:
        """Of the held-out neutral faces, with the same noise each time."""
        images = from_pixels(torch.from_numpy(held_out.neutral))
        noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0)) - 0.5
        images = (images + noise / 2**trainer.config.model.bits).to(trainer.device)
        return float(np.mean([float(likelihood_loss(trainer.average, batch)) for batch in torch.split(images, 16)]))
