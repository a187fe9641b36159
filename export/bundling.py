"""Writes a bundle: both graphs, their weights, and the manifest with what parity measured."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import onnx

from flowxfer.bundle import (
    COMBINE,
    DECODE,
    ENCODE,
    PRECISIONS,
    SAMPLE,
    WEIGHTS,
    LatentKind,
    Manifest,
    Precision,
    sha256,
)
from flowxfer.engines.ort.providers import runtime
from flowxfer.errors import InputError
from flowxfer.glow.model import Glow

from . import parity
from .builder import OPSET
from .folding import FoldedGlow
from .graphs import GlowGraphs
from .staging import new_folder
from .weights_file import WeightsFile

__all__ = ["export_bundle", "finish", "manifest_of", "write_graphs"]


def export_bundle(
    model: Glow,
    folder: str | os.PathLike[str],
    *,
    name: str,
    licence: str,
    origin: str,
    latents: LatentKind = "eps",
    precision: Precision = "exact-fp32",
    storage: str = "float32",
    overwrite: bool = False,
) -> Manifest:
    """Export a model as a bundle that :class:`flowxfer.Transferer` runs.

    Args:
        model: a Glow on the CPU, float32.
        folder: the bundle's folder; it appears whole or not at all.
        name: the model's name.
        licence: under which the weights may be used, for the manifest.
        origin: where the weights come from, for the manifest.
        latents: ``"eps"``, as in OpenAI's demo and the paper, or ``"raw"``.
        precision: ``"exact-fp32"`` or ``"exact-fp16"``, whose round trips are exact, or ``"fp32"``.
        storage: dtype of the nets' weights on disk, ``"float32"`` or ``"float16"``.
        overwrite: whether a bundle that stands at ``folder`` may be replaced.

    Raises:
        InputError: something stands at ``folder`` that is not a bundle, or is one and ``overwrite`` is false; or the
            precision is one that ONNX Runtime's CPU provider, which parity is measured with, cannot run.
        MissingExtraError: ONNX Runtime, which parity is measured with, is not installed.
        ParityError: the graphs do not compute what the model computes.
    """
    runtime()  # parity will need it: without it, say so before the work
    if precision == "exact-bf16":
        raise InputError(
            "expected a precision that ONNX Runtime's CPU provider can run, got exact-bf16, for which it has no"
            ' convolution; export in exact-fp32 and run that with Transferer(engine="torch", precision="exact-bf16")'
        )
    if storage not in parity.BOUNDS:
        raise InputError(f"expected storage of {' or '.join(parity.BOUNDS)}, got {storage!r}")
    with new_folder(folder, "bundle", overwrite=overwrite) as staged:
        manifest = manifest_of(model, name=name, latents=latents, precision=precision, licence=licence, origin=origin)
        with WeightsFile(staged / WEIGHTS) as weights:
            write_graphs(GlowGraphs(FoldedGlow(model), weights, precision=precision, storage=storage), staged, latents)
        figures = parity.measure(model, staged, manifest)
        parity.check(figures, "float16" if PRECISIONS[precision][1] == "float16" else storage)
        return finish(manifest, figures, staged)


def manifest_of(
    model: Glow, *, name: str, latents: LatentKind, precision: Precision, licence: str, origin: str
) -> Manifest:
    """The manifest of a model that is yet to be exported, without files and figures."""
    return Manifest(
        name=name,
        architecture=model.config.to_dict(),
        image_size=model.config.image_size,
        bits=model.config.bits,
        latent_shapes=model.config.latent_shapes(),
        latents=latents,
        precision=precision,
        opset=OPSET,
        licence=licence,
        origin=origin,
    )


def write_graphs(graphs: GlowGraphs, folder: Path, latents: LatentKind) -> None:
    """Write every graph of a bundle for one kind of latents, and check them."""
    onnx.save(graphs.encode(latents), folder / ENCODE)
    onnx.save(graphs.decode(latents), folder / DECODE)
    onnx.save(graphs.combine(), folder / COMBINE)
    if latents == "raw":
        onnx.save(graphs.decode("eps"), folder / SAMPLE)
    graphs.weights.flush()
    for graph in folder.glob("*.onnx"):
        onnx.checker.check_model(graph, full_check=True)


def finish(manifest: Manifest, figures: dict[str, float], folder: Path) -> Manifest:
    """Write the manifest, with the figures of parity and the hash of every other file, and give it back."""
    hashes = {file.name: sha256(file) for file in sorted(folder.iterdir())}
    manifest = replace(manifest, parity=figures, files=hashes)
    manifest.write(folder)
    return manifest
