"""The page itself: what was read, drawn and reckoned, in ``page.html``."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from flowxfer import __version__, images
from flowxfer.errors import unimportable
from flowxfer.evaluation.action_units import Floats
from flowxfer.evaluation.fidelity import Fidelity, summary
from flowxfer.evaluation.judging import UnitRow
from flowxfer.evaluation.report import figures
from flowxfer.evaluation.report.reading import Run
from flowxfer.evaluation.report.tradeoff import RULE, Recommendation, Strength, recommend, strengths
from flowxfer.files import replacing
from flowxfer.images import Pixels
from flowxfer.provenance import Mark, Marks, inherited, marked

__all__ = ["write_report"]

_SYNTHETIC = Marks()
_FACE_PX = 128  # larger faces are made smaller: forty strips of 256 px would make a page of 50 MB
_MOST_UNITS = 17  # in a plot: OpenFace's; of a meter with more, those that the expression changes most


def write_report(folder: Path, page: Path, marks: Marks = _SYNTHETIC) -> None:
    """Write one self-contained HTML page about a run that :func:`flowxfer.evaluation.paper.run` has left in a folder.

    ``fidelity.csv`` in that folder, as ``flowxfer fidelity`` writes it, is taken in where there is one.

    Args:
        folder: where the run lies.
        page: the file to write.
        marks: makes what the page's pictures say of how they were made; by default that they are synthetic.

    Raises:
        InputError: the folder holds no run, or a file of it is damaged.
        MissingExtraError: Jinja or Matplotlib is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise unimportable(error, "jinja2", "report", "The report") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    html = environment.get_template("page.html").render(_contents(Run.read(folder), marks))
    with replacing(page) as temporary:
        temporary.write_text(html, encoding="utf-8")


@dataclass(frozen=True)
class _Strip:
    """A target with an expression in all strengths, and the distances by strength where they were measured."""

    person: str
    picture: str
    measured: bool
    to_target: dict[float, float]
    to_source: dict[float, float]


@dataclass(frozen=True)
class _Expression:
    """An expression and everybody who received it."""

    name: str
    picture: str
    strips: list[_Strip]


def _contents(run: Run, marks: Marks) -> dict[str, object]:
    curve = strengths(run.likeness, run.scores)
    chosen = recommend(curve)
    missing: list[str] = []
    expressions = list(_expressions(run, marks, missing))
    means = summary(run.fidelity)
    return {
        "version": __version__,
        "run": run,
        "curve": curve,
        "rule": RULE,
        "recommendation": chosen,
        "expressions": expressions,
        "missing": missing,
        "faceless": [row for row in run.likeness if math.isnan(row.to_target) or math.isnan(row.to_source)],
        "unit_count": len({row.unit for row in run.units}),
        "unmeasured": [row for row in run.scores if math.isnan(row.error)],
        "fidelity": means,
        "nearest_truth": min(
            (row for row in means if row.method == "equation"), key=lambda row: row.changed, default=None
        ),
        **_plots(run, curve, chosen, means),
    }


def _plots(run: Run, curve: list[Strength], chosen: Recommendation, means: list[Fidelity]) -> dict[str, object]:
    measured = [point for point in curve if not math.isnan(point.to_target)]
    judged = [point for point in measured if not math.isnan(point.correlation)]
    return {
        "likeness_plot": figures.likeness(measured, run.likeness, chosen.alpha) if measured else "",
        "margin_plot": figures.margin(measured, run.likeness, chosen.alpha) if measured else "",
        "tradeoff_plot": figures.tradeoff(judged, chosen.alpha) if judged else "",
        "fidelity_plot": figures.fidelity(means) if means else "",
        "profiles": list(_profiles(run, chosen)),
    }


def _expressions(run: Run, marks: Marks, missing: list[str]) -> Iterator[_Expression]:
    """Everything that was made, expression by expression; what was not is added to ``missing``."""
    mark = marks.edited(run.model, *run.alphas)
    for number, name in run.expressions.items():
        strips = []
        for person in run.targets:
            if (faces := _faces(run, number, person)) is None:
                missing.append(f"{name} of {person}")
                continue
            rows = {row.alpha: row for row in run.likeness if (row.expression, row.person) == (number, person)}
            to_target = {alpha: rows[alpha].to_target if alpha in rows else math.nan for alpha in run.alphas}
            to_source = {alpha: rows[alpha].to_source if alpha in rows else math.nan for alpha in run.alphas}
            picture = _uri(np.concatenate(list(faces), 1), len(faces) * _FACE_PX, mark)
            strips.append(_Strip(person, picture, bool(rows), to_target, to_source))
        if strips:
            given = run.layout.expression(number) / f"{name}.png"
            own = inherited(given) if marks.wanted else None
            yield _Expression(name, _uri(images.load(given), _FACE_PX, own), strips)


def _faces(run: Run, number: int, person: str) -> Pixels | None:
    """The target's mean face and all strengths, (1 + A, S, S, 3); None where they were not made."""
    paths = [run.layout.mean(person), *(run.layout.picture(number, person, alpha) for alpha in run.alphas)]
    if not all(path.exists() for path in paths):
        return None
    return np.stack([images.load(path) for path in paths])


def _profiles(run: Run, chosen: Recommendation) -> Iterator[tuple[str, float, str]]:
    """Name, strength and plot of the action units of each expression, means over everybody who received it."""
    alphas = sorted({row.alpha for row in run.units} - {0.0})
    if not alphas:
        return
    alpha = chosen.alpha if chosen.alpha in alphas else alphas[len(alphas) // 2]
    assert alpha is not None
    for number, name in run.expressions.items():
        rows = [row for row in run.units if row.expression == number]
        reference = {row.unit: row.reference for row in rows}
        neutral = dict(zip(reference, _profile(rows, 0.0, list(reference)), strict=True))
        most = sorted(reference, key=lambda unit: -abs(reference[unit] - neutral[unit]))[:_MOST_UNITS]
        units = [unit for unit in reference if unit in most]
        wanted = np.array([reference[unit] for unit in units])
        was, made = _profile(rows, 0.0, units), _profile(rows, alpha, units)
        if rows:
            yield name, alpha, figures.action_units(f"units{number}", units, was, made, wanted, alpha)


def _profile(rows: list[UnitRow], alpha: float, units: list[str]) -> Floats:
    """Mean intensities (U,) at one strength."""
    rows = [row for row in rows if row.alpha == alpha]
    return np.array([_mean([row.intensity for row in rows if row.unit == unit]) for unit in units])


def _mean(values: list[float]) -> float:
    measured = [value for value in values if not math.isnan(value)]
    return float(np.mean(measured)) if measured else math.nan


def _uri(pixels: Pixels, width: int, mark: Mark | None) -> str:
    """A picture as an address that holds it, no wider than ``width``."""
    image = Image.fromarray(pixels)
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=90, method=4)
    data = buffer.getvalue() if mark is None else marked(buffer.getvalue(), mark)
    return f"data:image/webp;base64,{base64.b64encode(data).decode('ascii')}"


def _number(value: float, digits: int = 3) -> str:
    return "n/m" if math.isnan(value) else f"{value:.{digits}f}"
