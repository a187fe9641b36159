"""Writes a bundle: both graphs, their weights, and the manifest with what parity measured."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import onnx

from flowxfer.bundle import COMBINE, DECODE, ENCODE, MANIFEST, SAMPLE, WEIGHTS, LatentKind, Manifest, Precision, sha256
from flowxfer.errors import InputError
from flowxfer.glow.model import Glow
from flowxfer.providers import runtime

from . import parity
from .builder import OPSET
from .graphs import GlowGraphs
from .weights_file import WeightsFile

__all__ = ["export_bundle"]


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
        precision: ``"exact-fp32"``, whose round trip is exact, or ``"fp32"``.
        storage: dtype of the nets' weights on disk, ``"float32"`` or ``"float16"``.
        overwrite: whether a bundle that stands at ``folder`` may be replaced.

    Raises:
        InputError: something stands at ``folder`` that is not a bundle, or is one and ``overwrite`` is false.
        MissingExtraError: ONNX Runtime, which parity is measured with, is not installed.
        ParityError: the graphs do not compute what the model computes.
    """
    runtime()  # parity will need it: without it, say so before the work
    target = Path(folder)
    if target.exists() and not (overwrite and (target / MANIFEST).is_file()):
        raise InputError(f"expected a new folder for the bundle, but {target} exists; remove it or choose another")
    if storage not in parity.BOUNDS:
        raise InputError(f"expected storage of {' or '.join(parity.BOUNDS)}, got {storage!r}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as temporary:
        manifest = Manifest(
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
        staged = Path(temporary) / "bundle"
        staged.mkdir()
        _write_graphs(model, staged, manifest, storage)
        figures = parity.measure(model, staged, manifest)
        parity.check(figures, storage)
        hashes = {file.name: sha256(file) for file in sorted(staged.iterdir())}
        manifest = replace(manifest, parity=figures, files=hashes)
        manifest.write(staged)
        _swap(staged, target)
    return manifest


def _write_graphs(model: Glow, folder: Path, manifest: Manifest, storage: str) -> None:
    with WeightsFile(folder / WEIGHTS) as weights:
        graphs = GlowGraphs(model, weights, precision=manifest.precision, storage=storage)
        onnx.save(graphs.encode(manifest.latents), folder / ENCODE)
        onnx.save(graphs.decode(manifest.latents), folder / DECODE)
        onnx.save(graphs.combine(), folder / COMBINE)
        if manifest.latents == "raw":
            onnx.save(graphs.decode("eps"), folder / SAMPLE)
    for graph in folder.glob("*.onnx"):
        onnx.checker.check_model(graph, full_check=True)


def _swap(staged: Path, target: Path) -> None:
    """Move the new bundle into place; one that stood there goes only when it has."""
    if target.exists():
        old = staged.parent / "old"
        target.rename(old)
        try:
            staged.rename(target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old)
    else:
        staged.rename(target)
