"""Convolutions whose result does not depend on the batch.

On a CPU these are oneDNN's, over weights in the layout that its kernels read, with the ReLU inside: the operators that
PyTorch's own compiler emits. Over such weights every batch size and number of threads runs the same kernel and gives
the same bits, in float32 too, where :func:`torch.nn.functional.conv2d` has been seen to change kernels with the batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Convolution = Callable[[Tensor], Tensor]

_HINT = 8  # the batch that oneDNN is told to expect when it lays out weights

__all__ = ["Convolution", "convolution"]


def convolution(weight: Tensor, bias: Tensor | None, size: int, *, relu: bool = False) -> Convolution:
    """A convolution that keeps the image's size, of (N, C, size, size) in channels-last memory.

    Args:
        weight: (O, C, K, K) with odd K, on its device and in the dtype to compute in.
        bias: (O,) or None.
        size: height and width of the images.
        relu: whether a ReLU follows.
    """
    weight = weight.contiguous(memory_format=torch.channels_last)
    return _packed(weight, bias, size, relu) if _packs(weight) else _plain(weight, bias, relu)


def _packs(weight: Tensor) -> bool:
    """Whether oneDNN has kernels for this dtype on this processor."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    supported = {
        torch.bfloat16: torch.ops.mkldnn._is_mkldnn_bf16_supported,
        torch.float16: torch.ops.mkldnn._is_mkldnn_fp16_supported,
    }
    return weight.dtype not in supported or bool(supported[weight.dtype]())


def _packed(weight: Tensor, bias: Tensor | None, size: int, relu: bool) -> Convolution:
    ones, padding = [1, 1], [weight.shape[2] // 2] * 2
    expected = [_HINT, weight.shape[1], size, size]
    packed = torch.ops.mkldnn._reorder_convolution_weight(weight, padding, ones, ones, 1, expected)
    after = "relu" if relu else "none"

    def run(x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(x, packed, bias, padding, ones, ones, 1, after, [], "")
        return y

    return run


def _plain(weight: Tensor, bias: Tensor | None, relu: bool) -> Convolution:
    padding = weight.shape[2] // 2

    def run(x: Tensor) -> Tensor:
        y = functional.conv2d(x, weight, bias, padding=padding)
        return y.relu_() if relu else y

    return run
