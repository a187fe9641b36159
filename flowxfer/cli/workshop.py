"""Commands that need PyTorch: export, train."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Literal

import typer

from flowxfer.bundle import LatentKind, Precision
from flowxfer.cli.options import Force
from flowxfer.cli.running import steps, unused
from flowxfer.errors import MissingExtraError

__all__ = ["export", "train"]


def export(
    weights: Annotated[Path, typer.Argument(help="A file or checkpoint; what it is, is recognised.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle's folder.")],
    name: Annotated[str | None, typer.Option(help="The model's name.", show_default="the output's")] = None,
    latents: Annotated[LatentKind, typer.Option(help="eps as in the paper, or raw.")] = "eps",
    precision: Annotated[Precision, typer.Option(help="exact-fp32 has exact round trips.")] = "exact-fp32",
    storage: Annotated[Literal["float32", "float16"], typer.Option(help="The weights on disk.")] = "float32",
    ema: Annotated[bool, typer.Option("--ema", help="Take a checkpoint's moving averages.")] = False,
    image_size: Annotated[int | None, typer.Option(help="Pixels, where the weights do not say.")] = None,
    bits: Annotated[int | None, typer.Option(min=1, max=8, help="Bits a colour, likewise.")] = None,
    licence: Annotated[str, typer.Option(help="Under which the weights may be used.")] = "unknown",
    origin: Annotated[str | None, typer.Option(help="Where they come from.", show_default="the file's name")] = None,
    force: Force = False,
) -> None:
    """Turn weights into a bundle: OpenAI's checkpoints and graphs, two PyTorch ports' files, or our own."""
    unused(output, force)
    _require(("torch", "onnx"), "export,import", "`flowxfer export`")
    from flowxfer.export import export_bundle
    from flowxfer.glow.importers import import_weights

    glow = import_weights(weights, ema=ema, image_size=image_size, bits=bits)
    export_bundle(
        glow,
        output,
        name=name or output.resolve().name,
        latents=latents,
        precision=precision,
        storage=storage,
        licence=licence,
        origin=origin or weights.name,
        overwrite=force,
    )
    typer.echo(output)


def train(
    config: Annotated[Path, typer.Argument(help="A TOML file with the fields of TrainingConfig.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
) -> None:
    """Train a Glow on a folder of aligned faces."""
    _require(("torch",), "train", "`flowxfer train`")
    from flowxfer.glow.training import Figures, TrainingConfig
    from flowxfer.glow.training import train as run

    run_config = TrainingConfig.load(config)
    with steps("train", total=None if run_config.minutes else run_config.steps) as advance:

        def on_step(step: int, figures: Figures) -> None:
            advance(step)

        typer.echo(run(run_config, resume=resume, on_step=on_step))


def _require(packages: tuple[str, ...], extra: str, purpose: str) -> None:
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError:
            raise MissingExtraError(package, extra, purpose) from None
