"""``flowxfer bench``: how fast, beside peers and beside the machine's limit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flowxfer.cli.groups import grouped
from flowxfer.cli.options import Force
from flowxfer.cli.running import unused
from flowxfer.errors import MissingExtraError

QUICK: dict[str, Any] = {
    "models": ["tiny-32"],
    "contestants": ["flowxfer", "flowxfer-fp32", "eager", "folded", "traced"],
    "batches": [1, 2],
    "threads": [1],
    "seconds": 0.01,
    "startups": 1,
}
ABLATED: dict[str, Any] = {
    "models": ["synthetic-64"],
    "cases": ["encode", "decode", "transfer"],
    "batches": [1, 8],
    "threads": [2],
}

__all__ = ["bench"]


@grouped
def bench(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder of the results.")] = Path("bench"),
    model: Annotated[list[str] | None, typer.Option("--model", "-m", help="A model's name; may be repeated.")] = None,
    contestant: Annotated[
        list[str] | None, typer.Option("--contestant", "-c", help="Who takes part; may be repeated.")
    ] = None,
    case: Annotated[list[str] | None, typer.Option("--case", help="What is timed; may be repeated.")] = None,
    batch: Annotated[list[int] | None, typer.Option("--batch", "-b", min=1, help="May be repeated.")] = None,
    threads: Annotated[list[int] | None, typer.Option("--threads", "-t", min=1, help="May be repeated.")] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.0, help="For each contestant in each case.", show_default="0.4")
    ] = None,
    ablation: Annotated[
        bool, typer.Option("--ablation", help="Ours with one trick less each, in place of peers.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="A tiny model for a moment: does everything run?")] = False,
    prepare: Annotated[bool, typer.Option("--prepare", help="Only make what the measurement needs.")] = False,
    publish: Annotated[
        Path | None, typer.Option(help="The docs folder: the summary goes into explanation/speed.md, the picture too.")
    ] = None,
    force: Force = False,
) -> None:
    """Measure encode, decode, transfer, a sweep and film, beside peers with the same weights."""
    _require("torch", "onnx", "onnxruntime", "matplotlib")
    from flowxfer.benchmarks import report, suite
    from flowxfer.benchmarks.contestants import ABLATION

    options: dict[str, Any] = {}
    if ablation:
        options |= ABLATED | {"contestants": ["flowxfer", "flowxfer-fp32", "eager", *ABLATION]}
    if quick:
        options = QUICK | options
    given = {"models": model, "contestants": contestant, "cases": case, "batches": batch, "threads": threads}
    options |= {name: value for name, value in {**given, "seconds": seconds}.items() if value is not None}
    chosen = suite.Options(**options)
    models = output / "models"
    models.mkdir(parents=True, exist_ok=True)
    if prepare:
        suite.prepare(chosen, models, _say)
        return
    for name in report.NAMES:
        unused(output / name, force)
    for path in report.write(suite.run(chosen, models, _say), output):
        typer.echo(path)
    if publish:
        picture = None if ablation else publish / "speed.svg"
        report.publish(output, publish / "explanation" / "speed.md", picture, "ablation" if ablation else "benchmark")


def _say(what: str) -> None:
    typer.echo(what, err=True)


def _require(*packages: str) -> None:
    from importlib.util import find_spec

    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(package, "bench", "`flowxfer bench`")
