"""What is seen in transfers between people, and what it comes to: figures with intervals over the people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from flowxfer.evaluation.action_units import ActionUnits, Floats, Meter, measured, score
from flowxfer.evaluation.fidelity import MOVED, REGIONS, Mask, box, changed_region
from flowxfer.evaluation.likeness import Embedder, distance
from flowxfer.evaluation.pairs import Scene, Transfers
from flowxfer.images import Pixels

__all__ = ["READINGS", "Figure", "Judge", "Observation", "summary"]

READINGS = {
    "blink": ("eyeBlinkLeft", "eyeBlinkRight", "AU45"),
    "jaw": ("jawOpen", "AU26"),
    "smile": ("mouthSmileLeft", "mouthSmileRight", "AU12"),
    "raise": ("browInnerUp", "AU01"),
}
"""What is read off the action units, and by which of them: of a meter's own the mean is taken."""

_CLOSED = 0.5  # eyeBlink of an eye that looks closed
_RESAMPLES = 2000


@dataclass(frozen=True)
class Observation:
    """One figure of one transferred face. Of many, a figure is the sum of ``value`` over the sum of ``of``.

    Args:
        method: who made it.
        alpha: strength.
        expression: its name.
        person: who received it.
        performer: who performed it, or ``"mean"``.
        figure: see :meth:`Judge.observe`.
        value: what was measured.
        of: its unit, such as the same error of doing nothing.
    """

    method: str
    alpha: float
    expression: str
    person: str
    performer: str
    figure: str
    value: float
    of: float


@dataclass(frozen=True)
class Figure:
    """A figure over the people, with the 95 % interval of a bootstrap over those who receive."""

    method: str
    alpha: float
    expression: str
    figure: str
    mean: float
    low: float
    high: float
    people: int


class Judge:
    """Looks at transfers; what the same scene needs for all of them is measured once.

    Args:
        embedder: tells faces apart; without one there is no ``likeness``.
        meter: measures action units; without one there is nothing of the expression itself.
    """

    def __init__(self, embedder: Embedder | None = None, meter: Meter | None = None) -> None:
        self._embedder, self._meter = embedder, meter
        self._scene: Scene | None = None
        self._looks: list[_Look] = []

    def observe(self, made: Transfers) -> Iterator[Observation]:
        """Measure each face that was made.

        Yields:
            - ``mouth``, ``eyes``, ``brows`` (:data:`flowxfer.evaluation.fidelity.REGIONS`), ``changed`` (where the
              person's true pictures differ) and ``whole``: squared error, of doing nothing 1, where the truth is known
              and the expression does not leave that region alone;
            - ``outside``: root of the mean squared change outside mouth, eyes and brows, in grey levels;
            - ``likeness``: distance from the target, of that between target and performer 1;
            - ``arrived``: correlation of the change of action units with the performer's, -1 to 1;
            - ``blink``, ``jaw``, ``smile``, ``raise`` (:data:`READINGS`): by how much they rise, on the meter's scale;
            - ``closed``: 1 where eyeBlink exceeds .5, by blendshapes alone.
        """
        if made.scene is not self._scene:
            self._scene, self._looks = made.scene, [_Pixels(made.scene)]
            self._looks += [] if self._embedder is None else [_Identity(made.scene, self._embedder)]
            self._looks += [] if self._meter is None else [_Expression(made.scene, self._meter)]
        for look in self._looks:
            for figure, values, units in look.at(made):
                who = zip(made.scene.people, made.performer, values.tolist(), units.tolist(), strict=True)
                for person, performer, value, of in who:
                    if math.isfinite(value) and math.isfinite(of):
                        yield Observation(
                            made.method, made.alpha, made.scene.expression, person, performer, figure, value, of
                        )


class _Look(Protocol):
    def at(self, made: Transfers) -> Iterator[tuple[str, Floats, Floats]]:
        """Name, values (T,) and units (T,) of each figure; nan is "not measured"."""
        ...


class _Pixels:
    """Errors and change."""

    def __init__(self, scene: Scene) -> None:
        size = scene.target.shape[1]
        parts = {name: box(edges, size) for name, edges in REGIONS.items()}
        self._outside = ~np.any(list(parts.values()), axis=0)
        self._regions: dict[str, Mask] = {}
        if scene.truth is not None:
            whole = np.ones((size, size), bool)
            self._regions = {**parts, "changed": changed_region(scene.target, scene.truth), "whole": whole}
            self._nothing = _sums(scene.target, scene.truth, self._regions)
            for name, nothing in self._nothing.items():
                least = 3 * parts[name].sum() * MOVED**2 if name in parts else 0  # as in flowxfer.evaluation.fidelity
                nothing[nothing <= least] = np.nan

    def at(self, made: Transfers) -> Iterator[tuple[str, Floats, Floats]]:
        if made.scene.truth is not None:
            for name, error in _sums(made.pictures, made.scene.truth, self._regions).items():
                yield name, error, self._nothing[name]
        change = _sums(made.pictures, made.scene.target, {"outside": self._outside})["outside"]
        yield "outside", np.sqrt(change / (3 * self._outside.sum())), np.ones(len(change))


class _Identity:
    """Likeness."""

    def __init__(self, scene: Scene, embedder: Embedder) -> None:
        self._embed = embedder.embed
        self._targets = self._embed(list(scene.target))
        self._between = distance(self._targets[:, None], self._embed(list(scene.neutral)))

    def at(self, made: Transfers) -> Iterator[tuple[str, Floats, Floats]]:
        moved = distance(self._embed(list(made.pictures)), self._targets)
        yield "likeness", moved, _weighed(made.weights, self._between[..., None])[:, 0]


class _Expression:
    """Action units."""

    def __init__(self, scene: Scene, meter: Meter) -> None:
        self._meter = meter
        before, neutral, performing = (measured(meter, f) for f in (scene.target, scene.neutral, scene.performing))
        self._before, self._performed = before, performing.intensities - neutral.intensities

    def at(self, made: Transfers) -> Iterator[tuple[str, Floats, Floats]]:
        units = measured(self._meter, made.pictures)
        rise, one = units.intensities - self._before.intensities, np.ones(len(units))
        yield "arrived", score(rise, _weighed(made.weights, self._performed[None])).correlation, one
        before, after = _readings(self._before), _readings(units)
        for name in READINGS:
            yield name, after[name] - before[name], one
        if "eyeBlinkLeft" in units.units:
            yield "closed", np.where(np.isnan(after["blink"]), np.nan, after["blink"] > _CLOSED), one


def summary(observations: Sequence[Observation]) -> list[Figure]:
    """Means over the people, who all count by what there is of them, and intervals of a bootstrap over them."""
    groups: dict[tuple[str, float, str, str], dict[str, list[tuple[float, float]]]] = {}
    for one in observations:
        people = groups.setdefault((one.method, one.alpha, one.expression, one.figure), {})
        people.setdefault(one.person, []).append((one.value, one.of))
    figures = []
    for key, people in groups.items():
        sums = np.array([np.sum(seen, axis=0) for seen in people.values()])
        draws = np.random.default_rng(0).integers(0, len(sums), (_RESAMPLES, len(sums)))
        low, high = np.percentile(_quotient(sums[draws].sum(1)), (2.5, 97.5))
        figures.append(Figure(*key, float(_quotient(sums.sum(0))), float(low), float(high), len(sums)))
    return figures


def _quotient(sums: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def _sums(made: Pixels, truth: Pixels, regions: Mapping[str, Mask]) -> dict[str, Floats]:
    """Squared differences of T pictures summed over each region (S, S) or (T, S, S): (T,)."""
    square = np.stack([((a.astype(np.float64) - b) ** 2).sum(-1) for a, b in zip(made, truth, strict=True)])
    return {name: (square * region).sum((1, 2)) for name, region in regions.items()}


def _weighed(weights: Floats, values: Floats) -> Floats:
    """Means (T, K) of performers' values (T or 1, P, K) by weights (T, P), over what was measured."""
    known = weights[..., None] * ~np.isnan(values)
    with np.errstate(invalid="ignore"):  # nobody's was
        return np.asarray((known * np.nan_to_num(values)).sum(1) / known.sum(1))


def _readings(units: ActionUnits) -> dict[str, Floats]:
    """Each of :data:`READINGS` of N faces, (N,)."""
    found = {}
    for name, sources in READINGS.items():
        own = [units.units.index(source) for source in sources if source in units.units]
        found[name] = units.intensities[:, own].mean(1)
    return found
