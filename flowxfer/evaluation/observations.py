"""What is seen in transfers between people, and what it comes to: figures with intervals over the people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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
        self._known: _Known | None = None

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
        for figure, values, units in self._figures(made):
            for index, person in enumerate(made.scene.people):
                value, unit = float(values[index]), float(units[index])
                if not math.isnan(value) and not math.isnan(unit):
                    performer = made.performer[index]
                    yield Observation(
                        made.method, made.alpha, made.scene.expression, person, performer, figure, value, unit
                    )

    def _figures(self, made: Transfers) -> Iterator[tuple[str, Floats, Floats]]:
        """Name, values (T,) and units (T,) of each figure."""
        scene, count = made.scene, len(made.pictures)
        known, one = self._of(scene), np.ones(count)
        if scene.truth is not None:
            error, nothing = (_sums(faces, scene.truth, known.regions) for faces in (made.pictures, scene.target))
            for index, (name, region) in enumerate(known.regions.items()):
                least = 3 * region.sum() * MOVED**2 if name in REGIONS else 0  # as in flowxfer.evaluation.fidelity
                yield name, error[:, index], np.where(nothing[:, index] > least, nothing[:, index], np.nan)
        outside = ~np.any([box(edges, scene.target.shape[1]) for edges in REGIONS.values()], axis=0)
        yield "outside", np.sqrt(_sums(made.pictures, scene.target, {"": outside})[:, 0] / outside.sum() / 3), one
        if self._embedder is not None and known.targets is not None and known.performers is not None:
            between = distance(known.targets[:, None], known.performers)
            moved = distance(self._embedder.embed(list(made.pictures)), known.targets)
            yield "likeness", moved, (between * made.weights).sum(1)
        if self._meter is not None and known.units is not None and known.performed is not None:
            units = measured(self._meter, made.pictures)
            rise, performed = units.intensities - known.units.intensities, made.weights @ known.performed
            yield "arrived", score(rise, performed).correlation, one
            for name, reading in _readings(units).items():
                yield name, reading - _readings(known.units)[name], one
            if "eyeBlinkLeft" in units.units:
                blink = _readings(units)["blink"]
                yield "closed", np.where(np.isnan(blink), np.nan, blink > _CLOSED), one

    def _of(self, scene: Scene) -> _Known:
        if self._known is None or self._known.scene is not scene:
            self._known = _Known(scene, self._embedder, self._meter)
        return self._known


class _Known:
    """What all transfers of a scene are compared with."""

    def __init__(self, scene: Scene, embedder: Embedder | None, meter: Meter | None) -> None:
        self.scene, size = scene, scene.target.shape[1]
        self.regions: dict[str, Mask] = {name: box(edges, size) for name, edges in REGIONS.items()}
        if scene.truth is not None:
            self.regions["changed"] = changed_region(scene.target, scene.truth)
        self.regions["whole"] = np.ones((size, size), bool)
        self.targets, self.performers = (
            None if embedder is None else embedder.embed(list(faces)) for faces in (scene.target, scene.neutral)
        )
        self.units = None if meter is None else measured(meter, scene.target)
        self.performed: Floats | None = None
        if meter is not None:
            before, after = (measured(meter, faces).intensities for faces in (scene.neutral, scene.performing))
            self.performed = np.asarray(after - before)


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
    with np.errstate(divide="ignore", invalid="ignore"):  # of what nothing changes, such as a performer's own picture
        return np.asarray(sums[..., 0] / sums[..., 1])


def _sums(made: Pixels, truth: Pixels, regions: Mapping[str, Mask]) -> Floats:
    """Squared difference summed over each region, (T, R)."""
    rows = []
    for index, (one, other) in enumerate(zip(made, truth, strict=True)):
        square = ((one.astype(np.float64) - other) ** 2).sum(-1)
        rows.append([square[region if region.ndim == 2 else region[index]].sum() for region in regions.values()])
    return np.array(rows)


def _readings(units: ActionUnits) -> dict[str, Floats]:
    """Each of :data:`READINGS` of N faces, (N,)."""
    found = {}
    for name, sources in READINGS.items():
        own = [units.units.index(source) for source in sources if source in units.units]
        found[name] = units.intensities[:, own].mean(1)
    return found
