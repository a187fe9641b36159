"""How ONNX Runtime's CUDA provider is to compute.

Exactness rests on both directions running the same kernels. So convolutions are chosen by cuDNN's heuristics, which
depend on the shape alone, never by a race, which may end differently each time; and float32 is not rounded to TF32
unless ``tf32=True`` asks for it, in the nets of a model whose state is float64.
"""

from __future__ import annotations

__all__ = ["cuda_options"]


def cuda_options(*, tf32: bool, cuda_graphs: bool) -> dict[str, str]:
    """Options of the CUDA provider; its own default would be TF32 and an exhaustive search."""
    return {
        "use_tf32": str(int(tf32)),
        "cudnn_conv_algo_search": "HEURISTIC",
        "enable_cuda_graph": str(int(cuda_graphs)),
    }
