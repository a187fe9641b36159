"""How ONNX Runtime's CUDA provider is to compute.

Exactness rests on both directions running the same kernels. So convolutions are chosen by cuDNN's heuristics, which
depend on the shape alone, never by a race, which may end differently each time; and float32 is not rounded to TF32
unless ``variant="tf32"`` asks for it, in the nets of a model whose state is float64.
"""

from __future__ import annotations

from typing import Literal, get_args

from flowxfer.bundle import PRECISIONS, Manifest
from flowxfer.errors import InputError

Variant = Literal["fp32", "tf32", "mixed"]

__all__ = ["Variant", "check_variant", "cuda_options"]


def check_variant(variant: Variant | None, manifest: Manifest) -> None:
    """Refuse a variant that a model has not, or that would spoil its state.

    Raises:
        InputError: the message names the way out.
    """
    if variant is None:
        return
    state, nets = PRECISIONS[manifest.precision]
    if variant not in get_args(Variant):
        raise InputError(f"expected a variant of {', '.join(get_args(Variant))}, got {variant!r}")
    if variant == "mixed" and nets != "float16":
        raise InputError(
            f"expected a model with float16 nets for variant 'mixed', got precision {manifest.precision};"
            " `flowxfer export --precision exact-fp16` makes one"
        )
    if variant != "mixed" and nets != "float32":
        raise InputError(
            f"expected variant 'mixed', or none, for a model of precision {manifest.precision}, got {variant!r}"
        )
    if variant == "tf32" and state != "float64":
        raise InputError(
            f"expected a model whose state is float64 for variant 'tf32', which would round a float32 state, got"
            f" precision {manifest.precision}; `flowxfer export --precision exact-fp32` makes one"
        )


def cuda_options(variant: Variant | None, *, cuda_graphs: bool) -> dict[str, str]:
    """Options of the CUDA provider; its own default would be TF32 and an exhaustive search."""
    return {
        "use_tf32": "1" if variant == "tf32" else "0",
        "cudnn_conv_algo_search": "HEURISTIC",
        "enable_cuda_graph": str(int(cuda_graphs)),
    }
