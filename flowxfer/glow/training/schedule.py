"""How the learning rate and the transfer's weight go over a run; ``progress`` is the share of the run that is done."""

from __future__ import annotations

import math

from flowxfer.glow.training.config import TrainingConfig

__all__ = ["ema_decay", "learning_rate", "transfer_weight"]


def learning_rate(config: TrainingConfig, step: int, progress: float) -> float:
    """Linear growth over the first ``warmup`` steps, times half a cosine from 1 down to ``final_rate``."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return (
        config.learning_rate
        * min(1.0, (step + 1) / config.warmup)
        * (config.final_rate + (1 - config.final_rate) * cosine)
    )


def transfer_weight(config: TrainingConfig, progress: float) -> float:
    """0 while the likelihood trains alone, then constant, then linear to ``final_transfer_weight``."""
    if not config.pairs or progress < config.likelihood_only:
        return 0.0
    left = 1 - min(progress, 1.0)
    share = min(1.0, left / config.annealing) if config.annealing else 1.0
    return share * config.transfer_weight + (1 - share) * config.final_transfer_weight


def ema_decay(config: TrainingConfig, step: int) -> float:
    """Return the average's decay, smaller in the first steps so that the random start is forgotten."""
    return min(config.ema, (1 + step) / (10 + step))
