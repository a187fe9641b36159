"""A bundle for TensorRT: graphs that it takes, and the profiles of its plans.

``flowxfer.Transferer(folder, providers=["tensorrt"])`` runs such a bundle through ONNX Runtime, which builds engines
itself. Plans for another runtime, such as Triton, come from :mod:`flowxfer.export.engines`.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import replace
from pathlib import Path

from flowxfer.bundle import (
    DECODE,
    ENCODE,
    PRECISIONS,
    SAMPLE,
    TENSORRT,
    WEIGHTS,
    Bundle,
    LatentKind,
    Manifest,
    Precision,
)
from flowxfer.bundle.folded import Folded
from flowxfer.bundle.unfolding import FoldedBundle
from flowxfer.engines.batching import profiles
from flowxfer.engines.ort.providers import runtime
from flowxfer.errors import InputError
from flowxfer.glow.model import Glow

from . import parity
from .builder import OPSET
from .bundling import finish, manifest_of, write_graphs
from .folding import FoldedGlow
from .staging import new_folder
from .tensorrt_graphs import TensorRTGraphs
from .weights_file import WeightsFile

LARGEST_BATCH = 32

__all__ = ["LARGEST_BATCH", "bundle_to_tensorrt", "to_tensorrt"]


def to_tensorrt(
    model: Glow,
    folder: str | os.PathLike[str],
    *,
    name: str,
    licence: str,
    origin: str,
    latents: LatentKind = "eps",
    precision: Precision = "fp32",
    largest_batch: int = LARGEST_BATCH,
    overwrite: bool = False,
) -> Manifest:
    """Export a model as a bundle that TensorRT runs. No TensorRT is needed for it.

    Args:
        model: a Glow on the CPU, float32.
        folder: the bundle's folder; it appears whole or not at all.
        name: the model's name.
        licence: under which the weights may be used, for the manifest.
        origin: where the weights come from, for the manifest.
        latents: ``"eps"`` or ``"raw"``.
        precision: ``"fp32"``, or ``"mixed"`` for float16 nets; the state is float32 in both.
        largest_batch: samples that engines are to take at once.
        overwrite: whether a bundle that stands at ``folder`` may be replaced.

    Raises:
        InputError: something stands at ``folder``, the batch is below 1, or the precision needs float64.
        MissingExtraError: ONNX Runtime, which parity is measured with, is not installed.
        ParityError: the graphs do not compute what the model computes.
    """
    runtime()  # parity will need it: without it, say so before the work
    manifest = manifest_of(model, name=name, latents=latents, precision=precision, licence=licence, origin=origin)
    with new_folder(folder, "bundle", overwrite=overwrite) as staged:
        _write(FoldedGlow(model), manifest, largest_batch, staged)
        return _checked(manifest, parity.measure(model, staged, manifest), staged)


def bundle_to_tensorrt(
    bundle: Bundle,
    folder: str | os.PathLike[str],
    *,
    precision: Precision = "fp32",
    largest_batch: int = LARGEST_BATCH,
    overwrite: bool = False,
) -> Manifest:
    """:func:`to_tensorrt` from a bundle of float32 nets, which is what parity is measured against.

    Raises:
        BundleError: its nets are narrower than float32.
    """
    source = FoldedBundle(bundle)
    manifest = replace(bundle.manifest, precision=precision, opset=OPSET, parity={}, files={})
    with new_folder(folder, "bundle", overwrite=overwrite) as staged:
        _write(source, manifest, largest_batch, staged)
        return _checked(manifest, parity.measure_against(bundle, staged, manifest), staged)


def _write(model: Folded, manifest: Manifest, largest_batch: int, folder: Path) -> None:
    if PRECISIONS[manifest.precision][0] != "float32":
        raise InputError(f"expected precision fp32 or mixed, got {manifest.precision}: TensorRT has no float64")
    if largest_batch < 1:
        raise InputError(f"expected largest_batch of at least 1, got {largest_batch}")
    with WeightsFile(folder / WEIGHTS) as weights:
        write_graphs(TensorRTGraphs(model, weights, precision=manifest.precision), folder, manifest.latents)
    names = [ENCODE, DECODE] if manifest.latents == "eps" else [ENCODE, DECODE, SAMPLE]
    values = {name: [dataclasses.asdict(of) for of in profiles(manifest, name, largest_batch)] for name in names}
    (folder / TENSORRT).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _checked(manifest: Manifest, figures: dict[str, float], folder: Path) -> Manifest:
    parity.check(figures, PRECISIONS[manifest.precision][1])
    return finish(manifest, figures, folder)
