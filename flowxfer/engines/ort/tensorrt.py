"""How ONNX Runtime's TensorRT provider is to compute, and where its engines are kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from flowxfer.bundle import TENSORRT, Manifest
from flowxfer.engines.batching import Profile, profile, shapes_text
from flowxfer.engines.ort.nvidia import first_gpu, tensorrt_version
from flowxfer.engines.ort.providers import runtime
from flowxfer.errors import ProviderError
from flowxfer.files import replacing
from flowxfer.models.cache import cache_folder

__all__ = ["check_tensorrt", "profile_options", "tensorrt_options"]


def check_tensorrt(manifest: Manifest, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a bundle or an environment that TensorRT cannot serve.

    Raises:
        ProviderError: the message names the way out.
    """
    if TENSORRT not in manifest.files:
        why = (
            f"precision {manifest.precision} needs float64, which TensorRT does not have"
            if manifest.latents_dtype == "float64"
            else "its graphs do more with uint8 than TensorRT can"
        )
        raise ProviderError(
            f"expected a bundle for TensorRT, but {why}; `flowxfer export {manifest.name} --tensorrt -o FOLDER` makes"
            " one, or use providers=['cuda']"
        )
    if environment.get("NVIDIA_TF32_OVERRIDE") != "0":
        raise ProviderError(
            "expected NVIDIA_TF32_OVERRIDE=0 in the environment, for TensorRT would round the float32 state to TF32,"
            " and ONNX Runtime has no option against it; set it before Python starts"
        )


def tensorrt_options(manifest: Manifest, graph: str, *, largest: int, cuda_graphs: bool) -> dict[str, str]:
    """Options of the TensorRT provider for one graph of a bundle, for batches of 1 to ``largest`` samples.

    No precision is enabled: then the provider builds a strongly typed network, in the types that the graph names. An
    engine is kept in a folder of its own for each model, GPU, driver, TensorRT, ONNX Runtime and set of shapes, so one
    that was built for anything else is never met.
    """
    shapes = profile(manifest, graph, 1, largest)
    machine = {
        **dataclasses.asdict(first_gpu()),
        "tensorrt": tensorrt_version(),
        "onnxruntime": runtime().__version__,
    }
    key = {"model": manifest.model_hash, "graph": graph, "shapes": dataclasses.asdict(shapes), **machine}
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(_folder("engines", key)),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(_folder("timing", machine)),
        **profile_options(shapes),
        "trt_cuda_graph_enable": str(int(cuda_graphs)),
    }


def profile_options(profile: Profile) -> dict[str, str]:
    """A profile as the TensorRT provider takes it."""
    return {
        "trt_profile_min_shapes": shapes_text(profile.smallest),
        "trt_profile_opt_shapes": shapes_text(profile.best),
        "trt_profile_max_shapes": shapes_text(profile.largest),
    }


def _folder(kind: str, key: Mapping[str, object]) -> Path:
    """The folder for a key; the key itself lies in it as JSON, so that one can see what the folder is for."""
    text = json.dumps(key, sort_keys=True, indent=2)
    folder = cache_folder() / "tensorrt" / kind / hashlib.sha256(text.encode()).hexdigest()[:32]
    with replacing(folder / "key.json") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return folder
