"""The training loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from flowxfer.errors import InputError
from flowxfer.glow.training.config import TrainingConfig
from flowxfer.glow.training.data import Pairs
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
    config: TrainingConfig, *, resume: bool = False, on_step: Callable[[int, Figures], None] | None = None
) -> Path:
    """Train to the end of the run.

    Args:
        config: the run.
        resume: continue from the checkpoint in ``config.output``.
        on_step: called after each step with the number of steps taken and the step's figures.

    Returns:
        The averaged weights, ``model.safetensors`` in ``config.output``; :func:`flowxfer.glow.load` reads them.

    Raises:
        InputError: the data cannot be used, or there is a checkpoint that ``resume`` was not asked to continue.
        WeightsError: the checkpoint or ``config.start`` cannot be read or holds another architecture.
        DivergenceError: the gradient is no longer finite; the message names the step and the last checkpoint.
    """
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
    while trainer.progress < 1:
        figures = trainer.advance()
        report.add(trainer, figures)
        if on_step:
            on_step(trainer.step, figures)
        if checkpoint.due():
            trainer.save()
            if isinstance(trainer.source, Pairs):
                trainer.source.refresh()
        if validation.due():
            log.info("step %d: %s", trainer.step, report.validate(trainer))
    trainer.save()
    log.info("step %d: %s", trainer.step, report.validate(trainer))
    return weights
