"""``python -m flowxfer.benchmarks.variants``: variants of the paper's equation against it, on held-out people.

Strengths are tuned on the first half of the people, what is reported is of the second half alone. Errors are those of
:mod:`flowxfer.evaluation.fidelity`, sums over people, then means over expressions. The intervals are percentiles of a
bootstrap over people, of differences to the equation on the same people.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowxfer import __version__
from flowxfer.errors import FlowxferError, InputError
from flowxfer.evaluation.action_units import Floats
from flowxfer.evaluation.likeness import Embedder, distance
from flowxfer.files import replacing
from flowxfer.images import Pixels
from flowxfer.images.heldout import HeldOut
from flowxfer.models import hub
from flowxfer.transferer import Transferer

from . import equations
from .equations import Half, Method

__all__ = ["Variant", "compare", "main", "markdown", "measure", "tuned"]

BEGIN, END = "<!-- variants: begin -->", "<!-- variants: end -->"
_RESAMPLES = 2000
_STEP = 0.3  # of alpha, to see how the pictures change with it


@dataclass(frozen=True, eq=False)
class Variant:
    """A variant's figures on the reported half, and their differences to the equation.

    Args:
        name: what it is.
        alphas: the strength per level that was tuned, finest first, or 1 for each.
        figures: (4,): error in the changed region, error in the whole picture, both in units of no transfer, drift
            in grey levels, and distance of the embedding to the truth's; nan is "not measured".
        low: (4,): where the 95 % interval of the difference to the equation begins.
        high: (4,): where it ends.
    """

    name: str
    alphas: tuple[float, ...]
    figures: Floats
    low: Floats
    high: Floats

    @property
    def helps(self) -> bool:
        """Whether the error in the changed region is smaller than the equation's, beyond doubt."""
        return bool(self.high[0] < 0)


def compare(
    flow: Transferer,
    people: HeldOut,
    elsewhere: HeldOut | None = None,
    *,
    embedder: Embedder | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> list[Variant]:
    """Measure all variants, the equation first.

    Args:
        flow: the model.
        people: held out from its training.
        elsewhere: the same people in another light, in the same order.
        embedder: measures the drift of identity, and makes the variant that holds a given likeness.
        progress: is told of every variant.

    Raises:
        InputError: ``elsewhere`` has other people, or the pictures are not of the model's size.
    """
    if elsewhere is not None and not np.array_equal(elsewhere.seeds, people.seeds):
        raise InputError("expected the same people in another light, got others; render both sets with one --people")
    if people.neutral.shape[1] != flow.size:
        raise InputError(
            f"expected pictures of {flow.size} pixels for this model, got {people.neutral.shape[1]}; --size"
        )
    cut = len(people) // 2
    halves = [
        Half(flow, people[part], None if elsewhere is None else elsewhere[part])
        for part in (slice(0, cut), slice(cut, 2 * cut))
    ]
    found: list[Variant] = []
    baseline: Floats | None = None
    for name, method, groups in _variants(halves[0], embedder):
        progress(name)
        alphas = tuned(halves[0], method(halves[0]), groups) if groups else np.ones(len(halves[0].neutral))
        measured = measure(halves[1], halves[1].transfer(method(halves[1]), alphas.tolist()), embedder)
        baseline = measured if baseline is None else baseline
        low, high = _interval(measured, baseline)
        found.append(Variant(name, tuple(alphas.tolist()), _figures(measured), low, high))
    return found


def _variants(others: Half, embedder: Embedder | None) -> Iterator[tuple[str, Method, list[list[int]]]]:
    """Yield names, methods, and the groups of levels whose alpha is tuned, none where it is 1."""
    count = len(others.neutral)
    one, each, fixed = [list(range(count))], [[level] for level in range(count)], list[list[int]]()
    most = min(8, len(others.people) - 1)
    yield "the equation, alpha 1", equations.equation, fixed
    yield "one alpha, tuned", equations.equation, one
    yield "alpha per level", equations.equation, each
    yield "mean of 2 people", equations.people(2), fixed
    yield f"mean of {most} people", equations.people(most), fixed
    yield "performer nudged", equations.nudged_performer, fixed
    yield "performer mirrored", equations.mirrored_performer, fixed
    yield "performer in several strengths", equations.strengths, fixed
    if others.elsewhere is not None:
        yield "performer in two lights", equations.two_lights, fixed
    yield "along identity removed", equations.without_identity, fixed
    yield "span of identities removed", equations.without_identities(others, min(8, len(others.people) - 1)), fixed
    yield "alpha per picture: same norm", equations.at_norm(others), fixed
    if embedder is not None:
        yield "alpha per picture: same likeness", equations.at_distance(others, embedder), fixed
    yield "only where the performer changes", equations.local, fixed
    yield "nudged, alpha per level", equations.nudged_performer, each
    yield f"mean of {most} people, nudged, alpha per level", equations.nudged_people(most), each


def tuned(half: Half, vectors: equations.Levels, groups: list[list[int]]) -> Floats:
    """Alphas per level of least squared error in the changed regions, by one step of Gauss and Newton from 1.

    Args:
        half: people to tune on.
        vectors: what is added to their latents.
        groups: levels that share an alpha.
    """
    neutral, truth, region = half.people.neutral[:, None].astype(np.float64), half.people.truth, half.region[..., None]
    # Every expression counts the same, as it does in the figures.
    weight = region / np.sqrt(((truth - neutral) ** 2 * region).sum((0, 2, 3, 4), keepdims=True))
    alphas = np.ones(len(vectors))
    made = half.transfer(vectors, alphas.tolist()).astype(np.float64)
    columns = []
    for group in groups:
        weaker = alphas.copy()
        weaker[group] -= _STEP
        columns.append(((made - half.transfer(vectors, weaker.tolist())) / _STEP * weight).ravel())
    steps = np.linalg.lstsq(np.stack(columns, 1), ((truth - made) * weight).ravel())[0]
    for group, step in zip(groups, steps, strict=True):
        alphas[group] += step
    return alphas


def measure(half: Half, made: Pixels, embedder: Embedder | None = None) -> Floats:
    """Sums of each transfer (P, E, S, S, 3), (P, E, 7), whose quotients are the figures.

    Squared error and change in the changed region; the same in the whole picture; squared change outside that region
    and the count of its values; the distance of the embedding to the truth's.
    """
    neutral, truth, moved = (x.astype(np.float64) for x in (half.people.neutral[:, None], half.people.truth, made))
    region, axes = half.region[..., None], (2, 3, 4)
    error, change, outside = (moved - truth) ** 2, (truth - neutral) ** 2, (moved - neutral) ** 2 * ~region
    sums = [(error * region).sum(axes), (change * region).sum(axes), error.sum(axes), change.sum(axes)]
    sums += [outside.sum(axes), 3.0 * (~region).sum(axes), np.full(made.shape[:2], math.nan)]
    if embedder is not None:
        flat = [list(pictures.reshape(-1, *made.shape[2:])) for pictures in (made, half.people.truth)]
        sums[-1] = distance(embedder.embed(flat[0]), embedder.embed(flat[1])).reshape(made.shape[:2])
    return np.stack(sums, -1)


def _figures(sums: Floats) -> Floats:
    """The four figures of :class:`Variant`."""
    changed, change, whole, all_change, outside, values = sums[..., :6].sum(0).T
    likeness = sums[..., 6][~np.isnan(sums[..., 6])]
    ratios = (changed / change).mean(), (whole / all_change).mean(), np.sqrt(outside / values).mean()
    return np.array([*ratios, likeness.mean() if likeness.size else math.nan])


def _interval(sums: Floats, baseline: Floats) -> tuple[Floats, Floats]:
    """95 % of the differences to the baseline, people drawn with replacement, the same for both."""
    draws = np.random.default_rng(0).integers(0, len(sums), (_RESAMPLES, len(sums)))
    differences = np.stack([_figures(sums[draw]) - _figures(baseline[draw]) for draw in draws])
    low, high = np.percentile(differences, (2.5, 97.5), axis=0)
    return low, high


def markdown(variants: Sequence[Variant]) -> str:
    """A table: figures, and in brackets the 95 % intervals of the differences to the equation."""
    likeness = not np.isnan(variants[0].figures[3])
    headings = ["variant", "changed region", "difference", "whole", "difference", "drift", "difference"]
    headings += ["likeness", "difference"] if likeness else []
    lines = [f"| {' | '.join([*headings, 'helps'])} |", "|---|" + "---:|" * (len(headings) - 1) + "---|"]
    for variant in variants:
        cells = [variant.name]
        for index, digits in enumerate((3, 3, 2, 3)[: 4 if likeness else 3]):
            low, high = variant.low[index], variant.high[index]
            cells.append(f"{variant.figures[index]:.{digits}f}")
            cells.append("" if variant is variants[0] else f"{low:+.{digits}f} to {high:+.{digits}f}")
        cells.append("" if variant is variants[0] else "yes" if variant.helps else "no")
        lines.append(f"| {' | '.join(cells)} |")
    tuned_ = [v for v in variants if any(alpha != 1 for alpha in v.alphas)]
    lines += ["", "Tuned alphas, finest level first:", ""]
    lines += [f"- {v.name}: {', '.join(f'{alpha:.2f}' for alpha in v.alphas)}" for v in tuned_]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; errors of flowxfer become one line on stderr and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m flowxfer.benchmarks.variants", description="Variants of the equation against the equation."
    )
    parser.add_argument("people", type=Path, help="a .npy of `python -m flowxfer.synth evaluation`")
    parser.add_argument("--other-light", type=Path, help="a second .npy of the same people")
    parser.add_argument("-m", "--model", default=hub.DEFAULT, help="a model's name or a bundle (default %(default)s)")
    parser.add_argument("--likeness", action="store_true", help="measure identity by dlib; takes several times as long")
    replaced = f"a Markdown file; of one that has {BEGIN} and {END} only what stands between is replaced"
    parser.add_argument("-o", "--output", type=Path, required=True, help=replaced)
    options = parser.parse_args(arguments)
    try:
        text = _table(options.people, options.other_light, options.model, options.likeness)
        _fill(options.output, text)
    except FlowxferError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(text, end="")
    return 0


def _table(path: Path, other_light: Path | None, model: str, likeness: bool) -> str:
    from flowxfer.evaluation.likeness import Dlib

    people, elsewhere = HeldOut.read(path), None if other_light is None else HeldOut.read(other_light)
    flow, embedder = Transferer(model), Dlib() if likeness else None
    variants = compare(flow, people, elsewhere, embedder=embedder, progress=lambda name: print(name, file=sys.stderr))
    count = len(people) // 2
    return (
        f"{flow.manifest.name} ({flow.manifest.model_hash[:12]}), flowxfer {__version__}; tuned on {count} people, "
        f"reported on {count} others, {len(people.names)} expressions.\n\n{markdown(variants)}"
    )


def _fill(path: Path, text: str) -> None:
    """Write the text, or put it between the two comments of a file that has them."""
    before = path.read_text(encoding="utf-8") if path.exists() else f"{BEGIN}{END}\n"
    if before.count(BEGIN) != 1 or before.count(END) != 1:
        raise InputError(f"expected {BEGIN} and {END} once each in {path}, or no such file; choose another output")
    head, _, rest = before.partition(BEGIN)
    tail = rest.partition(END)[2]
    with replacing(path) as temporary:
        temporary.write_text(f"{head}{BEGIN}\n{text}{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
