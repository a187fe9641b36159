"""Commands about models and this installation: models, download, info, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowxfer.cli.options import Engine, Providers
from flowxfer.cli.running import downloading

__all__ = ["doctor", "download", "info", "models"]

_MARKS = {"ok": ("ok", None), "warning": ("WARNING", "yellow"), "problem": ("PROBLEM", "red")}


def models() -> None:
    """List the models that can be named, and where they are."""
    from flowxfer.models import hub

    for name, place in hub.list_models().items():
        about = hub.MODELS[name].about if name in hub.MODELS else "converted here"
        typer.echo(f"{name:<22} {place:<12} {about}")


def download(name: Annotated[str, typer.Argument(help="A model's name, see `flowxfer models`.")]) -> None:
    """Fetch a model and convert it, so that it can be used offline.

    What broke off goes on where it stopped.
    """
    from flowxfer.bundle import Bundle
    from flowxfer.models import hub

    with downloading() as progress:
        folder = hub.resolve(name, progress=progress)
    typer.echo(Bundle.open(folder).path)


def info(bundle: Annotated[str, typer.Argument(help="A bundle's folder or a model's name.")] = "synthetic-64") -> None:
    """Verify a bundle and show what its manifest says."""
    from flowxfer.bundle import Bundle
    from flowxfer.directions import Attributes
    from flowxfer.models import hub

    if hub.list_models().get(bundle) == "to download" and not Path(bundle).is_dir():
        known = hub.MODELS[bundle]
        typer.echo(
            f"{known.name}: {known.about}\nlicence: {known.licence}\n`flowxfer download {known.name}` fetches it"
        )
        return
    opened = Bundle.open(hub.resolve(bundle))
    manifest = opened.manifest
    shapes = ", ".join("x".join(map(str, shape)) for shape in manifest.latent_shapes)
    rows = {
        "name": manifest.name,
        "folder": f"{opened.path} (verified)",
        "faces": f"{manifest.image_size}x{manifest.image_size} pixels, {manifest.bits} bits a colour in training",
        "latents": f"{manifest.latents}, {manifest.latents_dtype}, (C, H, W) of each level: {shapes}",
        "precision": f"{manifest.precision}, opset {manifest.opset}",
        "architecture": ", ".join(f"{name} {value}" for name, value in manifest.architecture.items()),
        "attributes": ", ".join(Attributes.of(opened)) or "none",
        "licence": manifest.licence,
        "origin": manifest.origin,
        "parity": ", ".join(f"{name} {value:.3g}" for name, value in manifest.parity.items()) or "not measured",
        "hash": manifest.model_hash,
    }
    for name, value in rows.items():
        typer.echo(f"{name + ':':<14}{value}")
    for name, digest in manifest.files.items():
        size = (opened.path / name).stat().st_size
        typer.echo(f"  {name:<14}{size / 2**20:8.2f} MiB  {digest}")


def doctor(engine: Engine = "onnxruntime", provider: Providers = None) -> None:
    """Examine this installation; the exit status is 1 if something is wrong with it."""
    from flowxfer.cli.doctor import examine

    report = examine(provider, engine)
    for line in report.lines:
        mark, colour = _MARKS[line.level]
        typer.echo(f"{typer.style(f'{mark:<8}', fg=colour)} {line.about:<16} {line.text}")
    if not report.healthy:
        raise typer.Exit(1)
