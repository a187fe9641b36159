"""Commands that need PyTorch: export, train."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from flowxfer.bundle import MANIFEST, Bundle, LatentKind, Precision
from flowxfer.cli.groups import grouped
from flowxfer.cli.options import Force
from flowxfer.cli.running import steps, unused
from flowxfer.errors import InputError, unimportable
from flowxfer.files import temporary_folder
from flowxfer.models.hub import list_models, resolve

__all__ = ["export", "train"]


@grouped
def export(
    weights: Annotated[Path, typer.Argument(help="A file or checkpoint, recognised; or a bundle or a model's name.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle's folder, or the repository's.")],
    tensorrt: Annotated[bool, typer.Option("--tensorrt", help="Write a bundle for TensorRT.")] = False,
    triton: Annotated[bool, typer.Option("--triton", help="Write a repository for Triton Inference Server.")] = False,
    name: Annotated[str | None, typer.Option(help="The model's name.", show_default="the output's")] = None,
    latents: Annotated[LatentKind, typer.Option(help="eps as in the paper, or raw.")] = "eps",
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="The exact ones have exact round trips; TensorRT has only fp32 and mixed.",
            show_default="exact-fp32, or fp32 for TensorRT",
        ),
    ] = None,
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
    from flowxfer.export import bundle_to_tensorrt, export_bundle, to_tensorrt, to_triton
    from flowxfer.glow.importers import import_weights

    source = _bundle(weights)
    with _target(output, triton) as folder:
        if source and tensorrt:
            bundle_to_tensorrt(source, folder, precision=precision or "fp32", overwrite=force)
        elif source and not triton:
            raise InputError(f"expected weights, got the bundle {source.path}; --tensorrt or --triton converts bundles")
        elif not source:
            glow = import_weights(weights, ema=ema, image_size=image_size, bits=bits)
            write = to_tensorrt if tensorrt else partial(export_bundle, storage=storage)
            write(
                glow,
                folder,
                name=name or output.resolve().name,
                latents=latents,
                precision=precision or ("fp32" if tensorrt else "exact-fp32"),
                licence=licence,
                origin=origin or weights.name,
                overwrite=force,
            )
        if triton:
            to_triton(source if source and not tensorrt else Bundle.open(folder), output)
    typer.echo(output)


def _bundle(weights: Path) -> Bundle | None:
    """The bundle at a path or of a model's name; None where weights stand there."""
    if (weights / MANIFEST).is_file():
        return Bundle.open(weights)
    return None if weights.exists() or str(weights) not in list_models() else Bundle.open(resolve(str(weights)))


@contextmanager
def _target(output: Path, triton: bool) -> Iterator[Path]:
    """Where to write the bundle: the output, or a folder beside it that goes when a repository has been made of it."""
    if not triton:
        yield output
        return
    with temporary_folder(output.parent) as folder:
        yield folder / "bundle"


def train(
    config: Annotated[Path, typer.Argument(help="A TOML file with the fields of TrainingConfig.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    sitting: Annotated[
        float | None,
        typer.Option(min=0, help="Minutes after which to save and stop; --resume goes on.", show_default="none"),
    ] = None,
) -> None:
    """Train a Glow on a folder of aligned faces, or on pairs of people who share expressions."""
    _require(("torch",), "train", "`flowxfer train`")
    from flowxfer.glow.training import Figures, TrainingConfig
    from flowxfer.glow.training import train as run

    run_config = TrainingConfig.load(config)
    with steps("train", total=None if run_config.minutes else run_config.steps) as advance:

        def on_step(step: int, figures: Figures) -> None:
            advance(step)

        minutes = math.inf if sitting is None else sitting
        typer.echo(run(run_config, resume=resume, sitting_minutes=minutes, on_step=on_step))


def _require(packages: tuple[str, ...], extra: str, purpose: str) -> None:
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise unimportable(error, package, extra, purpose) from error
