"""Commands between pictures and latents: mean, encode, decode."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowxfer.cli.groups import grouped
from flowxfer.cli.marking import MARKED, Marking, marks
from flowxfer.cli.options import (
    BUNDLED,
    Compute,
    Faces,
    Force,
    OpenAI,
    Output,
    Quantize,
)
from flowxfer.cli.running import outputs, transferer, unused
from flowxfer.errors import InputError
from flowxfer.files import replacing

__all__ = ["decode", "encode", "mean"]

_LATENTS = ".safetensors"


@grouped
def mean(
    faces: Faces,
    output: Output,
    compute: Compute = BUNDLED,
    marked: Marking = MARKED,
    force: Force = False,
) -> None:
    """Average the latents of one person's pictures: the neutral face of the paper.

    The output's suffix chooses: .safetensors for latents, or a picture's.
    """
    from flowxfer import images

    if output.suffix == _LATENTS:
        path = unused(output, force)
    else:
        (path,) = outputs(output, ["mean"], force)
    marking = marks(marked)
    flow = transferer(compute)
    average = flow.mean(images.load_faces(faces, flow.size, resize=True))
    if path.suffix == _LATENTS:
        average.save(path)
    else:
        images.save(flow.decode(average)[0], path, marking.edited(flow.manifest))
    typer.echo(path)


@grouped
def encode(
    faces: Faces,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The .safetensors file to write.")] = None,
    openai_output: OpenAI = None,
    quantize: Quantize = False,
    compute: Compute = BUNDLED,
    force: Force = False,
) -> None:
    """Map faces to latents."""
    import numpy as np

    from flowxfer import images
    from flowxfer.directions import openai_latents

    if output is None and openai_output is None:
        raise InputError("expected where to write: --output latents.safetensors, --openai z.npy, or both")
    if output and output.suffix != _LATENTS:
        raise InputError(f"expected a name that ends in {_LATENTS} for latents, got {output}")
    paths = [unused(path, force) for path in (output, openai_output) if path]
    flow = transferer(compute)
    latents = flow.encode(images.load_faces(faces, flow.size, resize=True), quantize=quantize)
    if output:
        latents.save(output)
    if openai_output:
        with replacing(openai_output) as temporary, temporary.open("wb") as file:
            np.save(file, openai_latents.flatten(latents.levels), allow_pickle=False)
    for path in paths:
        typer.echo(path)


@grouped
def decode(
    output: Output,
    latents: Annotated[Path | None, typer.Argument(help="The .safetensors file that `encode` or `mean` wrote.")] = None,
    openai: OpenAI = None,
    quantize: Quantize = False,
    compute: Compute = BUNDLED,
    marked: Marking = MARKED,
    force: Force = False,
) -> None:
    """Map latents back to faces: a picture for one, a folder for several."""
    from flowxfer import images
    from flowxfer.directions import openai_latents
    from flowxfer.latents import Latents

    source = latents or openai
    if source is None or (latents and openai):
        raise InputError("expected one file of latents: LATENTS, or --openai z.npy")
    marking = marks(marked)
    flow = transferer(compute)
    if latents:
        loaded = Latents.load(latents)
    else:
        levels = openai_latents.load(source, flow.manifest.latent_shapes)
        loaded = Latents(tuple(levels), flow.manifest.model_hash)
    paths = outputs(output, [f"{source.stem}_{n:03}" for n in range(len(loaded))], force)
    for face, path in zip(flow.decode(loaded, quantize=quantize), paths, strict=True):
        images.save(face, path, marking.edited(flow.manifest))
        typer.echo(path)
