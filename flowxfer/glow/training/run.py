"""The training loop."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

from flowxfer.errors import InputError
from flowxfer.glow.training.config import TrainingConfig
from flowxfer.glow.training.report import Report
from flowxfer.glow.training.trainer import Figures, Trainer

__all__ = ["train"]

log = logging.getLogger(__name__)


class _Every:
    """True once in every so many minutes."""

    def __init__(self, minutes: float) -> None:
        self.seconds = 60 * minutes
        self.last = time.monotonic()

    def due(self) -> bool:
        now = time.monotonic()
        if now - self.last < self.seconds:
            return False
        self.last = now
        return True


def train(
    config: TrainingConfig,
    *,
    resume: bool = False,
    sitting_minutes: float = math.inf,
    on_step: Callable[[int, Figures], None] | None = None,
) -> Path:
    """Train to the end of the run, or of a sitting.

    Args:
        config: the run.
        resume: continue from the checkpoint in ``config.output``.
        sitting_minutes: from now, after which the run is saved and left at its next step, to be resumed in another
            sitting; what depends on the run's length goes on as if there had been none.
        on_step: called after each step with the number of steps taken and the step's figures.

    Returns:
        The averaged weights, ``model.safetensors`` in ``config.output``; :func:`flowxfer.glow.load` reads them.

    Raises:
        InputError: the data cannot be used, or there is a checkpoint that ``resume`` was not asked to continue.
        WeightsError: the checkpoint or ``config.start`` cannot be read or holds another architecture.
        DivergenceError: the gradient is no longer finite; the message names the step and the last checkpoint.
    """
    end = time.monotonic() + 60 * sitting_minutes
    trainer = Trainer(config)
    weights = trainer.checkpoint.with_name("model.safetensors")
    if resume:
        trainer.restore()
    elif trainer.checkpoint.exists():
        raise InputError(f"expected no checkpoint in {config.output}, got {trainer.checkpoint}; --resume continues it")
    elif weights.exists():
        raise InputError(f"expected no weights in {config.output}, got {weights}; choose another output")
    report = Report(config, step=trainer.step)
    checkpoint, validation = _Every(config.checkpoint_minutes), _Every(config.validation_minutes)
    over = trainer.progress >= 1
    while not over:
        figures = trainer.advance()
        report.add(trainer, figures)
        if on_step:
            on_step(trainer.step, figures)
        if checkpoint.due():
            trainer.save()
        if validation.due():
            log.info("step %d: %s", trainer.step, report.validate(trainer))
        over = trainer.progress >= 1 or time.monotonic() >= end
    trainer.save()
    log.info("step %d: %s", trainer.step, report.validate(trainer))
    return weights
