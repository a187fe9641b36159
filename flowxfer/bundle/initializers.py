"""The arrays that an ONNX graph holds, read without the onnx package.

That package refuses weights with several hard links, as installers that link out of a cache make them; a bundle's files
are held to their hashes instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flowxfer.bundle.protobuf import Message

# TensorProto.DataType, as far as our graphs have it
_DTYPES = {1: "<f4", 2: "u1", 7: "<i8", 10: "<f2", 11: "<f8"}
_EXTERNAL = 1

__all__ = ["initializers"]


def initializers(graph: Path) -> dict[str, npt.NDArray[Any]]:
    """Every initialiser of a graph by name; large ones are views of the file that they lie in.

    Args:
        graph: an ONNX file of a verified bundle.

    Raises:
        ValueError: the file is no ONNX graph, or has initialisers of another kind than ours.
    """
    tensors = Message(memoryview(graph.read_bytes())).message(7).messages(5)
    return {tensor.text(8): _array(tensor, graph.parent) for tensor in tensors}


def _array(tensor: Message, folder: Path) -> npt.NDArray[Any]:
    name, kind = tensor.text(8), tensor.integer(2)
    if kind not in _DTYPES:
        raise ValueError(f"the initialiser {name} has the data type {kind}")
    dtype, shape = np.dtype(_DTYPES[kind]), tuple(tensor.integers(1))
    if tensor.integer(14) != _EXTERNAL:
        return np.frombuffer(tensor.view(9), dtype).reshape(shape)
    entries = {entry.text(1): entry.text(2) for entry in tensor.messages(13)}
    file = np.memmap(folder / entries["location"], np.uint8, "r", int(entries["offset"]), int(entries["length"]))
    array: npt.NDArray[Any] = file.view(dtype).reshape(shape)
    return array
