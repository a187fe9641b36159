"""Contact sheets: people down, expressions across."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowxfer.synth.dataset import Shoot
from flowxfer.synth.expressions import NAMED, expression

__all__ = ["contact_sheet"]


def contact_sheet(
    seeds: Sequence[int], *, names: Sequence[str] = ("neutral", *NAMED), size: int = 128, jitter: float = 1.0
) -> np.ndarray:
    """Render every person with every named expression: (len(seeds) size, len(names) size, 3) uint8."""
    shoots = [Shoot.sample(seed, jitter=jitter) for seed in seeds]
    rows = [np.concatenate([s.picture(expression(name), size=size) for name in names], axis=1) for s in shoots]
    return np.concatenate(rows)
