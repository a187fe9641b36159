"""Results as Markdown: a summary to publish, and everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flowxfer.benchmarks.cases import CASES
from flowxfer.benchmarks.contestants import CONTESTANTS
from flowxfer.benchmarks.suite import Results

Row = dict[str, Any]

SUMMARY_CASES = ("encode", "decode", "transfer")
SUMMARY_BATCHES = (1, 8)

__all__ = ["details", "environment", "in_threads", "select", "summary", "table"]


def summary(results: Results) -> str:
    """One table per model with the most threads: milliseconds, times eager, share of the peak; errors beside them."""
    threads = max(results["options"]["threads"])
    parts = [environment(results) + "\n"]
    for model in results["models"]:
        rows = select(results, model=model, threads=threads)
        cells = [
            (case, batch)
            for case in results["options"]["cases"]
            for batch in _batches(rows, case)
            if case not in SUMMARY_CASES or batch in SUMMARY_BATCHES or len(results["options"]["batches"]) < 2
        ]
        parts.append(
            f"**{_title(results, model)}**, {in_threads(threads)}; milliseconds a call, and the share of the peak\n"
        )
        header = ["", *(f"{case}, {batch}" for case, batch in cells), "wrong after a round trip", "error of latents"]
        lines = [
            [
                _name(name),
                *(_figure(_one(rows, name, case, batch)) for case, batch in cells),
                *_errors(results, model, threads, name),
            ]
            for name in _names(rows)
        ]
        parts.append(table(header, lines))
    parts.append(_startup(results))
    return "\n".join(parts)


def details(results: Results) -> str:
    """Every cell with quartiles, least times, work, ratios and shares; environment, errors, failures."""
    parts = ["# How fast\n", environment(results), ""]
    parts += [f"- `{name}`: {CONTESTANTS[name].about}" for name in results["options"]["contestants"]]
    parts += ["", *(f"- *{name}*: {CASES[name].about}" for name in results["options"]["cases"]), ""]
    for model in results["models"]:
        parts.append(f"## {_title(results, model)}\n")
        for threads in results["options"]["threads"]:
            rows = select(results, model=model, threads=threads)
            for case in dict.fromkeys(row["case"] for row in rows):
                for batch in _batches(rows, case):
                    parts.append(f"### {case}, batch {batch}, {in_threads(threads)}\n")
                    parts.append(_cell_table([row for row in rows if (row["case"], row["batch"]) == (case, batch)]))
            parts.append(f"### Errors, {in_threads(threads)}\n")
            lines = [[_name(name), *_errors(results, model, threads, name, every=True)] for name in _names(rows)]
            header = ["", "values wrong after a round trip", "largest, grey levels", "error of latents", "of an edit"]
            parts.append(table(header, lines))
    parts += ["## Start-up\n", _startup(results)]
    if results["failures"]:
        parts += ["## What could not be run\n", *_failures(results), ""]
    return "\n".join(parts)


def environment(results: Results) -> str:
    """The environment in a paragraph."""
    found = results["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in found["packages"].items())
    caches = ", ".join(f"{name} {size}" for name, size in found["caches"].items())
    peak = ", ".join(f"{value:.0f} GFLOP/s on {in_threads(int(n))}" for n, value in results["peak"].items())
    return (
        f"{found['date']}, commit {found['commit']}: {found['cpu']}, {found['cores']} cores "
        f"({', '.join(found['flags'])}; {caches}), {found['memory_gib']} GiB, {found['system']}, {found['libc']}; "
        f"Python {found['python']}, {versions}. "
        f"Largest fp32 matrix product measured: {peak}. Load average before {found['load_before']}, "
        f"after {found.get('load_after')}. Allocator: {found['allocator']}."
    )


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table, with an empty line after it."""
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *lines)) + "\n"


def select(results: Results, **conditions: Any) -> list[Row]:
    """Rows whose fields are as given."""
    return [row for row in results["rows"] if all(row[key] == value for key, value in conditions.items())]


def _cell_table(rows: list[Row]) -> str:
    header = ["", "median ms", "quartiles", "least", "work, median", "work, least", "calls", "times eager", "of peak"]
    lines = [
        [
            _name(row["contestant"]),
            f"{row['median_ms']:.4g}",
            f"{row['q1_ms']:.4g} to {row['q3_ms']:.4g}",
            *(f"{row[key]:.4g}" for key in ("min_ms", "cpu_ms", "cpu_min_ms")),
            str(row["calls"]),
            _times(row["times_eager"]),
            f"{row['share_of_peak']:.0%}",
        ]
        for row in rows
    ]
    return table(header, lines)


def _startup(results: Results) -> str:
    lines = [
        [
            _name(row["contestant"]),
            f"{row['import_s']:.2f}",
            f"{row['first_transfer_s']:.2f}",
            f"{row['peak_memory_mb']:.0f}",
        ]
        for row in results["startup"]
    ]
    return table(["fresh process", "import, s", "first transfer, s", "peak memory, MB"], lines)


def _errors(results: Results, model: str, threads: int, name: str, *, every: bool = False) -> list[str]:
    where = {"model": model, "threads": threads, "contestant": name}
    row = next((row for row in results["errors"] if all(row[key] == value for key, value in where.items())), None)
    if row is None:
        return ["–"] * (4 if every else 2)
    wrong = "0" if row["round_trip_wrong"] == 0 else f"{row['round_trip_wrong']:.2%}"
    latents = f"{row['latents_error']:.0e}" if "latents_error" in row else "–"
    if not every:
        return [wrong, latents]
    edit = f"{row['edit_error']:.1e}" if "edit_error" in row else "–"
    return [wrong, str(row["round_trip_largest"]), latents, edit]


def _failures(results: Results) -> Iterable[str]:
    for row in results["failures"]:
        cell = f", {row['case']}, batch {row['batch']}" if "case" in row else ""
        yield f"- {_name(row['contestant'])}, {row['model']}, {in_threads(row['threads'])}{cell}: {row['reason']}"


def _figure(row: Row | None) -> str:
    if row is None:
        return "–"
    notes = [_times(row["times_eager"])] if row["times_eager"] else []
    return f"{row['median_ms']:.3g} ({'; '.join([*notes, format(row['share_of_peak'], '.0%')])})"


def _one(rows: list[Row], name: str, case: str, batch: int) -> Row | None:
    found = (row for row in rows if (row["contestant"], row["case"], row["batch"]) == (name, case, batch))
    return next(found, None)


def _batches(rows: list[Row], case: str) -> list[int]:
    return list(dict.fromkeys(row["batch"] for row in rows if row["case"] == case))


def _names(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(row["contestant"] for row in rows))


def _title(results: Results, model: str) -> str:
    described = results["models"][model]
    return f"{model} ({described['flops'] / 1e9:.3g} GFLOP an image and direction)"


def _name(name: str) -> str:
    return f"**{name}**" if name.startswith("flowxfer") else name


def in_threads(count: int) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{count} thread{'s' if count > 1 else ''}"


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2g}x"
