"""Engines from a bundle for TensorRT: ``python -m flowxfer.export.engines FOLDER``, with TensorRT's Python package.

Tactics that were timed once are remembered in a timing cache, and an engine that was built on this machine from these
very graphs is kept. Needs ``tensorrt``, version 10 for ONNX Runtime, 10 or 11 for Triton or one's own runtime, and a
GPU; it was written to the documented interface and has not been run.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import importlib
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from flowxfer.bundle import TENSORRT, Bundle
from flowxfer.engines.batching import Profile
from flowxfer.engines.ort.nvidia import first_gpu
from flowxfer.errors import BundleError, FlowxferError, ProviderError
from flowxfer.files import replacing

log = logging.getLogger(__name__)

TIMING_CACHE = "timing.cache"

__all__ = ["TIMING_CACHE", "build_engines", "main"]


def build_engines(bundle: Bundle, folder: Path) -> list[Path]:
    """Build an engine of each graph, or keep the one that is there where nothing has changed.

    Args:
        bundle: what :func:`flowxfer.export.to_tensorrt` wrote.
        folder: receives ``encode.plan``, ``decode.plan``, for each a ``.json`` with what it was built from and for, and
            the timing cache.

    Raises:
        BundleError: the bundle is not one for TensorRT.
        ProviderError: TensorRT or a GPU is missing, or TensorRT refuses a graph.
    """
    if TENSORRT not in bundle.manifest.files:
        raise BundleError(f"expected a bundle for TensorRT in {bundle.path}; `flowxfer export --tensorrt` makes one")
    trt = _tensorrt()
    machine = {**dataclasses.asdict(first_gpu()), "tensorrt": trt.__version__}
    folder.mkdir(parents=True, exist_ok=True)
    plans = []
    by_graph = json.loads((bundle.path / TENSORRT).read_text(encoding="utf-8"))
    for name, values in by_graph.items():
        plan = folder / Path(name).with_suffix(".plan")
        key = {"model": bundle.manifest.model_hash, "graph": name, "profiles": values, **machine}
        if not _is_current(plan, key):
            shapes = [Profile(**value) for value in values]
            _store(plan, key, _built(trt, bundle.path / name, shapes, folder / TIMING_CACHE))
        plans.append(plan)
    return plans


def _tensorrt() -> ModuleType:
    try:
        return importlib.import_module("tensorrt")
    except ImportError as error:
        raise ProviderError(
            f"building engines needs TensorRT's Python package ({error}); pip install 'tensorrt-cu13>=10,<11' brings"
            " it, with the library that ONNX Runtime takes too"
        ) from error


def _built(trt: Any, graph: Path, shapes: Sequence[Profile], timing_cache: Path) -> bytes:
    """The serialised engine of one graph."""
    builder = trt.Builder(trt.Logger(trt.Logger.WARNING))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))  # 11 is so anyway
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.WARNING))
    if not parser.parse_from_file(str(graph)):
        said = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise ProviderError(f"expected TensorRT {trt.__version__} to parse {graph}: {said}")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # the state is float32 and TF32 would round it
    known = timing_cache.read_bytes() if timing_cache.is_file() else b""
    if not config.set_timing_cache(config.create_timing_cache(known), ignore_mismatch=False):
        log.info("%s is another GPU's or TensorRT's; starting it anew", timing_cache)
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    for of in shapes:
        profile = builder.create_optimization_profile()
        for name in of.best:
            profile.set_shape(name, of.smallest[name], of.best[name], of.largest[name])
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ProviderError(f"expected TensorRT {trt.__version__} to build an engine of {graph}; its log says why not")
    with replacing(timing_cache) as temporary:
        temporary.write_bytes(config.get_timing_cache().serialize())
    return bytes(plan)


def _is_current(plan: Path, key: dict[str, Any]) -> bool:
    """Whether a plan is whole and was built from these graphs, for this machine."""
    try:
        said = json.loads(plan.with_suffix(".json").read_text(encoding="utf-8"))
        return bool(said == {**key, "sha256": hashlib.sha256(plan.read_bytes()).hexdigest()})
    except (OSError, ValueError):
        return False


def _store(plan: Path, key: dict[str, Any], data: bytes) -> None:
    with replacing(plan) as temporary:
        temporary.write_bytes(data)
    with replacing(plan.with_suffix(".json")) as temporary:
        text = json.dumps({**key, "sha256": hashlib.sha256(data).hexdigest()}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m flowxfer.export.engines", description="Build TensorRT engines.")
    parser.add_argument("bundle", type=Path, help="a folder that `flowxfer export --tensorrt` wrote")
    parser.add_argument("-o", "--output", type=Path, help="the engines' folder; by default the bundle's, with /engines")
    options = parser.parse_args(arguments)
    try:
        for plan in build_engines(Bundle.open(options.bundle), options.output or options.bundle / "engines"):
            print(plan)
    except FlowxferError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
