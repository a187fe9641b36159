"""What a Triton model repository says of itself."""

from __future__ import annotations

from flowxfer.bundle import TENSORRT, Manifest

__all__ = ["readme"]

_TEXT = """# {name} for Triton Inference Server

Written by `flowxfer export --triton`; never run: there was no GPU and no Triton where it was made. The graphs
themselves ran on ONNX Runtime's CPU provider, and the configurations were read against Triton's `model_config.proto`.

    docker run --rm --gpus all{environment} -p 8000:8000 -p 8001:8001 -p 8002:8002 \\
        -v "$PWD":/models nvcr.io/nvidia/tritonserver:YY.MM-py3 tritonserver --model-repository=/models

with a release in place of YY.MM. Up to {largest_batch} samples a request; every array has the batch first.

| model | takes | gives |
|---|---|---|
| `transfer` | `target`, `expression`, `neutral`: uint8 ({size}, {size}, 3); `alpha`: {dtype} ({levels}) | `image` |
| `encode` | `image` | `z0` … `z{top}`, {dtype} |
| `decode` | `z0` … `z{top}`, `direction0` … `direction{top}`, `alpha` | `image` of `z + alpha · direction` |
| `subtract` | `expression0` …, `neutral0` … | `direction0` … |

`neutral` is one face; average several in latent space with `encode` first. {exactness}
"""

_EXACT = (
    "Latents are float64 and a round trip gives every pixel back as long as both directions ran in the same batch size:"
    " Triton puts requests together, and cuDNN may choose other kernels for another batch. Where that matters, take"
    " `dynamic_batching` out of the configurations."
)
_INEXACT = (
    "The state is float32, as TensorRT has no float64; the manifest of the bundle says what a round trip loses."
    " `NVIDIA_TF32_OVERRIDE=0` keeps TensorRT from rounding it to TF32. Engines are built when a model is loaded, which"
    " takes minutes, and lie in the container, so they go with it."
)


def readme(manifest: Manifest, largest_batch: int) -> str:
    """The README of a repository."""
    return _TEXT.format(
        name=manifest.name,
        environment=" -e NVIDIA_TF32_OVERRIDE=0" if TENSORRT in manifest.files else "",
        largest_batch=largest_batch,
        size=manifest.image_size,
        dtype=manifest.latents_dtype,
        levels=len(manifest.latent_shapes),
        top=len(manifest.latent_shapes) - 1,
        exactness=_EXACT if manifest.latents_dtype == "float64" else _INEXACT,
    )
