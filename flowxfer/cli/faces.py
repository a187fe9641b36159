"""Commands from pictures to pictures: transfer, sweep, mix, sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowxfer.cli.groups import grouped
from flowxfer.cli.marking import MARKED, Marking, marks
from flowxfer.cli.options import (
    BUNDLED,
    SAMPLER,
    Alpha,
    Compute,
    Expression,
    Force,
    Neutral,
    Output,
)
from flowxfer.cli.running import alphas, names, outputs, track, transferer, unused
from flowxfer.errors import InputError

__all__ = ["mix", "sample", "sweep", "transfer"]


@grouped
def transfer(
    target: Annotated[
        list[str], typer.Option("--target", "-t", help="Who receives: pictures or folders (repeatable), one by one.")
    ],
    expression: Expression,
    neutral: Neutral,
    output: Output,
    alpha: Alpha = "0.4",
    compute: Compute = BUNDLED,
    marked: Marking = MARKED,
    force: Force = False,
) -> None:
    """Give every target the expression of another person.

    Pictures are aligned faces; square ones of another size are resized. With one target, the output may be a picture's
    name; with several it is a folder.
    """
    from flowxfer import images

    targets = images.expand(target)
    destinations = outputs(output, names(targets), force)
    values, marking = alphas(alpha), marks(marked)
    strength = values[0] if len(values) == 1 else values
    flow = transferer(compute)
    performer = images.load(expression, flow.size), images.load_faces(neutral, flow.size, resize=True)
    faces = (images.load(path, flow.size) for path in targets)
    results, mark = flow.frames(faces, *performer, alpha=strength), marking.edited(flow.manifest, strength)
    for result, path in zip(track(results, len(targets), "transfer"), destinations, strict=True):
        images.save(result, path, mark)
        typer.echo(path)


@grouped
def sweep(
    target: Annotated[Path, typer.Option("--target", "-t", help="Who receives: one picture.")],
    expression: Expression,
    neutral: Neutral,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")],
    strengths: Annotated[
        str, typer.Option("--alphas", "-a", help="Strengths with commas between: 0,0.5,1", show_default="the paper's")
    ] = "0.30,0.32,0.34,0.36,0.38,0.40,0.42,0.44,0.46,0.48,0.50",
    gif: Annotated[bool, typer.Option("--gif", help="Also write sweep.gif, there and back.")] = False,
    compute: Compute = BUNDLED,
    marked: Marking = MARKED,
    force: Force = False,
) -> None:
    """Transfer an expression in several strengths: a picture each, and a labelled strip of all.

    By default the strengths are the paper's, 0.30 to 0.50 in steps of 0.02.
    """
    from flowxfer import images
    from flowxfer.images import contact_sheets

    values = alphas(strengths)
    digits = max(2, *(len(part.strip().partition(".")[2]) for part in strengths.split(",")))
    labels = [f"alpha {value:.{digits}f}" for value in values]
    if len(set(labels)) != len(labels):
        raise InputError(f"expected strengths that differ, got {strengths}")
    pictures = [unused(output / f"{label.replace(' ', '_')}.png", force) for label in labels]
    marking = marks(marked)
    strip, animation = unused(output / "strip.png", force), unused(output / "sweep.gif", force or not gif)
    flow = transferer(compute)
    face, performer = images.load(target, flow.size), images.load(expression, flow.size)
    results = flow.sweep(face, performer, images.load_faces(neutral, flow.size, resize=True), values)
    for result, path, value in zip(results, pictures, values, strict=True):
        images.save(result, path, marking.edited(flow.manifest, value))
    mark = marking.edited(flow.manifest, *values)
    images.save(contact_sheets.strip(results, labels), strip, mark)
    if gif:
        contact_sheets.gif(results, animation, mark)
    for path in [*pictures, strip, *([animation] if gif else [])]:
        typer.echo(path)


@grouped
def mix(
    first: Annotated[Path, typer.Argument(help="A picture of an aligned face.")],
    second: Annotated[Path, typer.Argument(help="Another.")],
    output: Output,
    alpha: Annotated[float, typer.Option("--alpha", "-a", help="0 is the first face, 1 the second.")] = 0.5,
    compute: Compute = BUNDLED,
    marked: Marking = MARKED,
    force: Force = False,
) -> None:
    """Mix two faces."""
    from flowxfer import images

    (path,) = outputs(output, [f"{first.stem}_{second.stem}"], force)
    marking = marks(marked)
    flow = transferer(compute)
    results = flow.mix(images.load(first, flow.size), images.load(second, flow.size), alpha)
    images.save(results.reshape(flow.size, flow.size, 3), path, marking.edited(flow.manifest, alpha))
    typer.echo(path)


@grouped
def sample(
    output: Annotated[Path, typer.Option("--output", "-o", help="A picture for a sheet of all, or a folder.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many faces.")] = 16,
    temperature: Annotated[float, typer.Option(min=0, help="0 is the mean face; more is more varied.")] = 0.7,
    seed: Annotated[int | None, typer.Option(help="Draw the same faces again.")] = None,
    compute: Compute = SAMPLER,
    marked: Marking = MARKED,
    force: Force = False,
) -> None:
    """Draw faces that nobody has."""
    from flowxfer import images
    from flowxfer.images import contact_sheets

    whole_sheet = bool(output.suffix) and not output.is_dir()
    destinations = outputs(output, ["sheet"] if whole_sheet else [f"sample_{n:03}" for n in range(count)], force)
    marking = marks(marked)
    flow = transferer(compute)
    faces, mark = flow.sample(count, temperature=temperature, seed=seed), marking.generated(flow.manifest)
    results = [contact_sheets.sheet(faces)] if whole_sheet else faces
    for result, path in zip(results, destinations, strict=True):
        images.save(result, path, mark)
        typer.echo(path)
