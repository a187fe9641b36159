"""Identity against expression: how both change with the strength, and which strength to recommend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flowxfer.evaluation.judging import LikenessRow, ScoreRow

__all__ = ["KEPT", "RULE", "Recommendation", "Strength", "recommend", "strengths"]

KEPT = 0.95
"""Share of the transfers that has to keep the target's identity."""

RULE = (
    "A transferred face keeps its identity where it is nearer to the target’s mean face than to the source’s. "
    f"Recommended is the largest strength up to which at least {KEPT:.0%} of the transfers keep theirs; where action "
    "units were measured, the one among those strengths whose action units correlate best with the expression’s."
)


@dataclass(frozen=True)
class Strength:
    """Means over all transfers of one strength in which a face was found; nan is "not measured".

    Args:
        alpha: the strength.
        to_target: distance to the target's mean face.
        to_source: distance to the source's.
        kept: share of the transfers that are nearer to the target, 0 to 1.
        measured: how many transfers were measured.
        correlation: of the action units with the expression's.
        error: mean absolute error of the action units.
    """

    alpha: float
    to_target: float
    to_source: float
    kept: float
    measured: int
    correlation: float
    error: float


@dataclass(frozen=True)
class Recommendation:
    """A strength, and why it is that one; None where there is nothing to recommend."""

    alpha: float | None
    reason: str


def strengths(likeness: Sequence[LikenessRow], scores: Sequence[ScoreRow]) -> list[Strength]:
    """Means by strength, ascending; strength 0, the mean faces, has scores alone."""
    found = []
    for alpha in sorted({row.alpha for row in likeness} | {row.alpha for row in scores}):
        pairs = np.array([(row.to_target, row.to_source) for row in likeness if row.alpha == alpha]).reshape(-1, 2)
        pairs = pairs[~np.isnan(pairs).any(1)]
        judged = [row for row in scores if row.alpha == alpha]
        found.append(
            Strength(
                alpha,
                _mean(pairs[:, 0]),
                _mean(pairs[:, 1]),
                _mean(pairs[:, 0] < pairs[:, 1]),
                len(pairs),
                _mean([row.correlation for row in judged]),
                _mean([row.error for row in judged]),
            )
        )
    return found


def recommend(curve: Sequence[Strength]) -> Recommendation:
    """Apply :data:`RULE` to what :func:`strengths` returns."""
    measured = [point for point in curve if not math.isnan(point.kept)]
    if not measured:
        return Recommendation(None, "No strength is recommended, because likeness was not measured.")
    lost = next((index for index, point in enumerate(measured) if point.kept < KEPT), len(measured))
    kept = measured[:lost]
    if not kept:
        return Recommendation(None, f"Identity is lost already at {measured[0].alpha:g}, the weakest strength tried.")
    end = (
        f"identity is kept up to {kept[-1].alpha:g}, the largest strength tried: larger ones may do as well"
        if lost == len(measured)
        else f"beyond {kept[-1].alpha:g} identity is lost"
    )
    judged = [point for point in kept if not math.isnan(point.correlation)]
    if not judged:
        return Recommendation(kept[-1].alpha, f"{end[0].upper()}{end[1:]}. How much of the expression arrived was not "
                              "measured.")  # fmt: skip
    best = max(judged, key=lambda point: point.correlation)
    return Recommendation(
        best.alpha, f"Its action units correlate best, {best.correlation:.3f} in the mean, and {end}."
    )


def _mean(values: npt.ArrayLike) -> float:
    array = np.asarray(values, np.float64)
    array = array[~np.isnan(array)]
    return float(array.mean()) if array.size else math.nan
