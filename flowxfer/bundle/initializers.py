"""The arrays that an ONNX graph holds, read without the onnx package.

That package refuses weights with several hard links, as installers that link out of a cache make them; a bundle's files
are held to their hashes instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from flowxfer.bundle.onnx_file import read_graph

__all__ = ["initializers"]


def initializers(graph: Path) -> dict[str, npt.NDArray[Any]]:
    """Every initialiser of a graph by name; large ones are views of the file that they lie in.

    Args:
        graph: an ONNX file of a verified bundle.

    Raises:
        ValueError: the file is no ONNX graph, or has something in it that ours have not.
    """
    return {name: tensor.array(graph.parent) for name, tensor in read_graph(graph).tensors.items()}
