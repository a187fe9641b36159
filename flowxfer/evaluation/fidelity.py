"""How far is a transfer from the truth? On synthetic people the picture "this person with that expression" exists.

The paper could only ask whether a face still looks like the target and moves like the expression. Here every transfer
is compared with the picture that a perfect one would have given, in the regions of the face that the expression moves.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from flowxfer.errors import unimportable
from flowxfer.evaluation.action_units import Meter, measured, score
from flowxfer.evaluation.likeness import Embedder, distance
from flowxfer.images import Pixels
from flowxfer.images.people import TruePeople

__all__ = [
    "MOVED",
    "REGIONS",
    "Fidelity",
    "Mask",
    "Method",
    "TruePeople",
    "box",
    "changed_region",
    "drift",
    "evaluate",
    "no_transfer",
    "pixel_arithmetic",
    "relative_error",
    "summary",
]

Mask = npt.NDArray[np.bool_]
GreyLevels = npt.NDArray[Any]  # uint8, or floating point in grey levels from 0 to 255

REGIONS = {
    "mouth": (0.30, 0.66, 0.70, 0.96),
    "eyes": (0.27, 0.44, 0.73, 0.54),
    "brows": (0.25, 0.32, 0.75, 0.43),
}
"""Left, top, right and bottom in widths of an aligned picture, whose eyes are at .371 and .629, .480 from the top."""

_CHANGE = 0.03 * 256  # grey levels, mean over the colours: what the eye sees, and renderers' dithering does not reach
MOVED = 4
"""Grey levels, root of the mean square: below that an expression leaves a region alone, and ratios are noise."""


class Method(Protocol):
    """A way to transfer; :meth:`flowxfer.Transferer.transfer` is one."""

    def __call__(self, target: Pixels, expression: Pixels, neutral: Pixels, alpha: float) -> Pixels:
        """Give targets (N, S, S, 3) the expression (S, S, 3) of a performer whose neutral faces are (M, S, S, 3)."""
        ...


def pixel_arithmetic(target: Pixels, expression: Pixels, neutral: Pixels, alpha: float) -> Pixels:
    """The paper's equation on pixels: ``target + alpha · (expression − mean(neutral))``, rounded and clipped."""
    moved = target + alpha * (expression - neutral.mean(0))
    pixels: Pixels = moved.round().clip(0, 255).astype(np.uint8)
    return pixels


def no_transfer(target: Pixels, expression: Pixels, neutral: Pixels, alpha: float) -> Pixels:
    """Leave the targets as they are: what every other method has to beat."""
    return target


def changed_region(neutral: GreyLevels, expression: GreyLevels) -> Mask:
    """Where an expression changes a face visibly, and within a pixel of it; (…, S, S, 3) to (…, S, S)."""
    change = np.abs(expression.astype(np.float64) - neutral).mean(-1) > _CHANGE
    edges = [(0, 0)] * (change.ndim - 2) + [(1, 1), (1, 1)]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(change, edges), (3, 3), axis=(-2, -1))
    return np.asarray(windows.any((-2, -1)))


def relative_error(made: GreyLevels, truth: GreyLevels, target: GreyLevels, region: Mask) -> float:
    """Squared error in a region in units of that of no transfer: ``‖made − truth‖² / ‖target − truth‖²``.

    Args:
        made: transferred faces, (…, S, S, 3); the sums run over all of them.
        truth: the true ones.
        target: the same people without the expression.
        region: (…, S, S), or (S, S) for all.

    Returns:
        0 is perfect, 1 as good as no transfer; nan where the region has no change at all.
    """
    weight = np.broadcast_to(region, made.shape[:-1])[..., None]
    error, change = (((picture.astype(np.float64) - truth) ** 2 * weight).sum() for picture in (made, target))
    return float(error / change) if change else math.nan


def drift(made: GreyLevels, target: GreyLevels, region: Mask) -> float:
    """Root of the mean squared change outside a region, in grey levels: 0 where only the region has changed."""
    outside = ~np.broadcast_to(region, made.shape[:-1])
    change = (made.astype(np.float64) - target)[outside]
    return float(np.sqrt((change**2).mean())) if change.size else math.nan


@dataclass(frozen=True)
class Fidelity:
    """One transferred face beside the true one, or the mean of many; nan is "not measured".

    Args:
        method: who made it.
        alpha: strength.
        expression: its name.
        person: whom it was given.
        mouth: :func:`relative_error` in the mouth's region; nan where the expression leaves it alone.
        eyes: the same around the eyes.
        brows: the same around the brows.
        changed: the same wherever the expression changes the face.
        whole: the same over the whole picture.
        drift: change where the truth has none, in grey levels.
        psnr: peak signal-to-noise ratio to the truth, dB.
        ssim: structural similarity to the truth (doi:10.1109/TIP.2003.819861), 1 for the same picture.
        likeness: distance of the embedding to that of the truth, on the embedder's scale.
        correlation: of the action units with those of the truth, -1 to 1.
        units: mean absolute difference of the action units to those of the truth, on their meter's scale.
    """

    method: str
    alpha: float
    expression: str
    person: str
    mouth: float
    eyes: float
    brows: float
    changed: float
    whole: float
    drift: float
    psnr: float
    ssim: float
    likeness: float
    correlation: float = math.nan
    units: float = math.nan


def evaluate(
    people: TruePeople,
    methods: Mapping[str, Method],
    size: int,
    alphas: Sequence[float] = (0.3, 0.4, 0.5, 0.75, 1.0),
    *,
    embedder: Embedder | None = None,
    meter: Meter | None = None,
) -> Iterator[Fidelity]:
    """Transfer every expression to every target and compare with the true pictures, which have it in full.

    Args:
        people: synthetic people.
        methods: by name.
        size: height and width of a face.
        alphas: strengths.
        embedder: measures the drift of identity; without one ``likeness`` is nan.
        meter: measures action units; without one ``correlation`` and ``units`` are nan.

    Yields:
        A row for each method, alpha, expression and target.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    target, neutral = people.faces("neutral", size), people.neutral(size)
    for expression in people.expressions:
        truth, performed = people.faces(expression, size), people.performed(expression, size)
        embedded = None if embedder is None else embedder.embed(list(truth))
        wanted = None if meter is None else measured(meter, truth).intensities
        for alpha in alphas:
            for name, method in methods.items():
                made = method(target, performed, neutral, alpha)
                away, correlation, units = np.full((3, len(made)), np.nan)
                if embedder is not None and embedded is not None:
                    away = distance(embedder.embed(list(made)), embedded)
                if meter is not None and wanted is not None:
                    arrived = score(measured(meter, made).intensities, wanted)
                    correlation, units = arrived.correlation, arrived.error
                rest = np.stack([away, correlation, units], 1).tolist()
                for index, person in enumerate(people.targets):
                    measures = [*_measures(made[index], truth[index], target[index]), *rest[index]]
                    yield Fidelity(name, alpha, expression, person, *measures)


def summary(rows: Sequence[Fidelity], *, by_expression: bool = False) -> list[Fidelity]:
    """Means over people, and over expressions unless ``by_expression``, of what was measured; named ``"mean"``."""
    groups: dict[tuple[str, float, str], list[Fidelity]] = {}
    for row in rows:
        groups.setdefault((row.method, row.alpha, row.expression if by_expression else "mean"), []).append(row)
    columns = [field.name for field in dataclasses.fields(Fidelity)][4:]
    return [
        Fidelity(*key, "mean", *[_mean([getattr(row, column) for row in group]) for column in columns])
        for key, group in groups.items()
    ]


def _measures(made: Pixels, truth: Pixels, target: Pixels) -> list[float]:
    """From ``mouth`` to ``ssim``, in the order of :class:`Fidelity`."""
    try:
        from skimage.metrics import peak_signal_noise_ratio, structural_similarity
    except ImportError as error:
        raise unimportable(error, "scikit-image", "fidelity", "Comparing with true pictures") from error
    psnr: Callable[..., float] = peak_signal_noise_ratio
    ssim: Callable[..., float] = structural_similarity
    changed = changed_region(target, truth)
    parts = [box(edges, len(made)) for edges in REGIONS.values()]
    regions = [part & (drift(truth, target, ~part) >= MOVED) for part in parts]
    regions += [changed, np.ones_like(changed)]
    with np.errstate(divide="ignore"):  # the same picture twice has an infinite ratio
        decibels = float(psnr(truth, made, data_range=255))
    similarity = float(ssim(truth, made, data_range=255, channel_axis=-1))
    errors = [relative_error(made, truth, target, region) for region in regions]
    return [*errors, drift(made, target, changed), decibels, similarity]


def box(edges: tuple[float, float, float, float], size: int) -> Mask:
    """Make a region (size, size) of one of :data:`REGIONS`."""
    left, top, right, bottom = (round(edge * size) for edge in edges)
    region = np.zeros((size, size), bool)
    region[top:bottom, left:right] = True
    return region


def _mean(values: Sequence[float]) -> float:
    measured = [value for value in values if not math.isnan(value)]
    return float(np.mean(measured)) if measured else math.nan
