"""Plots as SVG for inside a page: their colours are the page's, so that they follow its light and dark style."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from flowxfer.errors import unimportable
from flowxfer.evaluation.action_units import UNITS, Floats
from flowxfer.evaluation.fidelity import Fidelity
from flowxfer.evaluation.judging import LikenessRow
from flowxfer.evaluation.report.tradeoff import Strength

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["action_units", "fidelity", "likeness", "margin", "tradeoff"]

# Matplotlib wants colours of its own; these stand for the variables of style.css and appear nowhere else.
_INK, _FAINT, _ONE, _TWO, _THREE = "#010203", "#020304", "#030405", "#040506", "#050607"
_VARIABLES = {_INK: "ink", _FAINT: "line", _ONE: "one", _TWO: "two", _THREE: "three"}
_SIZE = 4.6, 3.1  # inches: as wide as a phone, where 9 points stay 9 points
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": _FAINT,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "grid.color": _FAINT,
    "legend.frameon": False,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "flowxfer",
    "text.color": _INK,
    "text.parse_math": False,  # names may hold dollars
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def likeness(curve: Sequence[Strength], rows: Sequence[LikenessRow], chosen: float | None) -> str:
    """Distances to source and target by strength, as SVG: means, and a band that holds 80 % of the transfers."""
    with _figure() as figure:
        axes = _axes(figure, "alpha", "distance of the embeddings")
        alphas = [point.alpha for point in curve]
        for name, colour in (("source", _TWO), ("target", _ONE)):
            values = [[getattr(row, f"to_{name}") for row in rows if row.alpha == alpha] for alpha in alphas]
            _band(axes, alphas, values, colour, f"to the {name}")
        _mark(axes, chosen)
        axes.set_ylim(bottom=0)
        axes.legend()
        return _svg(figure, "likeness")


def margin(curve: Sequence[Strength], rows: Sequence[LikenessRow], chosen: float | None) -> str:
    """How much nearer to the target than to the source, by strength, as SVG; below 0 identity is lost."""
    with _figure() as figure:
        axes = _axes(figure, "alpha", "nearer to the target by")
        alphas = [point.alpha for point in curve]
        values = [[row.to_source - row.to_target for row in rows if row.alpha == alpha] for alpha in alphas]
        _band(axes, alphas, values, _ONE, "mean, and 80 % of the transfers")
        axes.axhline(0, color=_INK, linewidth=1, linestyle="--", label="identity is lost below")
        _mark(axes, chosen)
        axes.legend()
        return _svg(figure, "margin")


def tradeoff(curve: Sequence[Strength], chosen: float | None) -> str:
    """Arrival of the expression against distance from the target, a point a strength, as SVG."""
    with _figure() as figure:
        axes = _axes(figure, "distance to the target", "correlation of action units")
        axes.plot([p.to_target for p in curve], [p.correlation for p in curve], "o-", color=_ONE, markersize=3)
        for index, point in enumerate(curve):
            if np.isfinite([point.to_target, point.correlation]).all():
                if point.alpha == chosen or index in (0, len(curve) - 1):
                    where = point.to_target, point.correlation
                    axes.annotate(f"{point.alpha:g}", where, (4, 5), textcoords="offset points")
                if point.alpha == chosen:
                    axes.plot(point.to_target, point.correlation, "o", color=_THREE, label=f"recommended, {chosen:g}")
                    axes.legend()
        return _svg(figure, "tradeoff")


def fidelity(means: Sequence[Fidelity]) -> str:
    """Error in the changed region by strength, a line a method, as SVG."""
    with _figure() as figure:
        axes = _axes(figure, "alpha", "error, no transfer = 1")
        colours = itertools.cycle([_ONE, _TWO, _INK, _THREE])
        for method, colour in zip(dict.fromkeys(row.method for row in means), colours, strict=False):
            rows = sorted((row for row in means if row.method == method), key=lambda row: row.alpha)
            axes.plot([row.alpha for row in rows], [row.changed for row in rows], "o-", color=colour, markersize=3,
                      label=method)  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.legend()
        return _svg(figure, "fidelity")


def action_units(
    key: str, units: Sequence[str], neutral: Floats, made: Floats, expression: Floats, alpha: float
) -> str:
    """Profile of the action units (U,) of the mean face, the transferred face and the expression, as SVG."""
    facs = set(units) <= set(UNITS)
    with _figure((4.6, 4.6)) as figure:
        axes = _axes(figure, f"intensity, 0 to {5 if facs else 1}", "")
        rows = np.arange(len(units))
        axes.hlines(rows, neutral, expression, color=_FAINT, linewidth=2)
        axes.plot(neutral, rows, "|", color=_INK, markersize=9, label="target’s mean face")
        axes.plot(expression, rows, "D", color=_TWO, markersize=4, label="expression")
        axes.plot(made, rows, "o", color=_ONE, markersize=5, label=f"transferred, alpha {alpha:g}")
        axes.set_yticks(rows, [f"{UNITS[unit]} {unit[2:]}" for unit in units] if facs else units)
        axes.invert_yaxis()
        least = 2.0 if facs else 1.0
        axes.set_xlim(-0.05 * least, float(np.nanmax([least, *neutral, *made, *expression])) + 0.05 * least)
        figure.legend(loc="outside upper center", ncols=3, fontsize=7.5, columnspacing=1, handletextpad=0.3)
        return _svg(figure, key)


@contextmanager
def _figure(size: tuple[float, float] = _SIZE) -> Iterator[Figure]:
    """Yield a figure in the style of the page."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise unimportable(error, "matplotlib", "report", "The report") from error
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=size, layout="constrained")


def _axes(figure: Figure, x: str, y: str) -> Axes:
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return axes


def _band(axes: Axes, alphas: Sequence[float], values: Sequence[Sequence[float]], colour: str, label: str) -> None:
    """Draw means over what was measured, and the range from the 10th to the 90th percentile."""
    measured = [np.array([value for value in column if np.isfinite(value)] or [np.nan]) for column in values]
    low, high = np.array([np.percentile(column, (10, 90)) for column in measured]).T
    axes.fill_between(alphas, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(alphas, [column.mean() for column in measured], "o-", color=colour, markersize=3, label=label)


def _mark(axes: Axes, alpha: float | None) -> None:
    if alpha is not None:
        axes.axvline(alpha, color=_THREE, linewidth=1.5, label=f"recommended, {alpha:g}")


def _svg(figure: Figure, key: str) -> str:
    """The element ``svg`` alone: no prologue, no metadata, ids of its own, the page's colours."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{key}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg.replace("<svg ", '<svg aria-hidden="true" ', 1)  # its figure says what it shows
