"""Results as pictures: SVG text, so that a page and a document can hold them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flowxfer.benchmarks.suite import Results
from flowxfer.errors import MissingExtraError

from .markdown import in_threads, select

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS, PEERS = "#c2410c", "#8a9aa9"

__all__ = ["overview", "plots"]


def overview(results: Results) -> str:
    """The published picture: encoding and decoding time of every contestant, per image, and the machine's limit."""
    threads, models = max(results["options"]["threads"]), list(results["models"])
    cells = [(m, c) for m in models for c in ("encode", "decode") if select(results, model=m, case=c, threads=threads)]
    height = 1.2 + 0.28 * len(results["options"]["contestants"])
    figure = _figure(10, height * ((len(cells) + 1) // 2))
    for index, (model, case) in enumerate(cells):
        rows = select(results, model=model, case=case, threads=threads)
        batch = 8 if any(row["batch"] == 8 for row in rows) else rows[0]["batch"]
        axes = figure.add_subplot((len(cells) + 1) // 2, min(2, len(cells)), index + 1)
        _bars(axes, results, [row for row in rows if row["batch"] == batch])
        axes.set_title(f"{model}: {case}, batch {batch}, {in_threads(threads)}", loc="left", fontsize=9)
    return _svg(figure)


def plots(results: Results) -> Iterator[tuple[str, str]]:
    """A title and a picture for each model, case and number of threads: time per image over the batch."""
    for model in results["models"]:
        for threads in results["options"]["threads"]:
            rows = select(results, model=model, threads=threads)
            for case in dict.fromkeys(row["case"] for row in rows):
                yield f"{model}: {case}, {in_threads(threads)}", _lines([row for row in rows if row["case"] == case])


def _bars(axes: Axes, results: Results, rows: list[dict[str, Any]]) -> None:
    """Per image, least on top; the line is the time that the peak would take."""
    rows = sorted(rows, key=lambda row: -row["median_ms"])
    times = [row["median_ms"] / row["batch"] for row in rows]
    spread = [
        [(row["median_ms"] - row["q1_ms"]) / row["batch"] for row in rows],
        [(row["q3_ms"] - row["median_ms"]) / row["batch"] for row in rows],
    ]
    names = [row["contestant"] for row in rows]
    colours = [OURS if name.startswith("flowxfer") else PEERS for name in names]
    axes.barh(names, times, color=colours, xerr=spread, error_kw={"elinewidth": 0.8, "ecolor": "#333333"})
    ends = [row["q3_ms"] / row["batch"] for row in rows]  # the labels stand behind the whiskers
    for place, row in enumerate(rows):
        label = f"  {times[place]:.3g} ms, {row['share_of_peak']:.0%} of peak"
        axes.text(ends[place], place, label, va="center", fontsize=7)
    limit = results["models"][rows[0]["model"]]["flops"] / results["peak"][str(rows[0]["threads"])] / 1e6
    axes.axvline(limit, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlim(0, 1.45 * max(ends))
    axes.set_xlabel("ms an image; dotted: at the measured fp32 peak", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _lines(rows: list[dict[str, Any]]) -> str:
    figure = _figure(6, 3.4)
    axes = figure.add_subplot()
    for name in dict.fromkeys(row["contestant"] for row in rows):
        own = [row for row in rows if row["contestant"] == name]
        batches = [row["batch"] for row in own]
        ours = name.startswith("flowxfer")
        (line,) = axes.plot(
            batches, [row["median_ms"] / row["batch"] for row in own], "o-", label=name, linewidth=2.5 if ours else 1.2
        )
        low, high = ([row[key] / row["batch"] for row in own] for key in ("q1_ms", "q3_ms"))
        axes.fill_between(batches, low, high, color=line.get_color(), alpha=0.15)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted({row["batch"] for row in rows}), [str(n) for n in sorted({row["batch"] for row in rows})])
    axes.set_ylim(0)
    axes.set_xlabel("batch")
    axes.set_ylabel("ms an image, median and quartiles")
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    return _svg(figure)


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "bench", "the report's pictures") from error
    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Figure) -> str:
    """Text stays text, and the same results give the same bytes."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "flowxfer", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
