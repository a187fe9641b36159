"""A thin layer over onnx.helper: named nodes, shared weights, small constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from flowxfer.bundle.graph_check import IR_VERSION, OPSET

from .weights_file import WeightsFile

Dimension = int | str

__all__ = ["IR_VERSION", "OPSET", "Dimension", "GraphBuilder"]


class GraphBuilder:
    """Collects the nodes of one graph. A node's only output has the node's name.

    Args:
        name: the graph's name.
        weights: where large arrays lie; both directions share one.
        storage: dtype of float32 weights on disk, float32 or float16; a float16 one is cast when it is used, which
            ONNX Runtime does once, at load time.
    """

    def __init__(self, name: str, weights: WeightsFile, storage: str = "float32") -> None:
        self.name = name
        self._weights = weights
        self._storage = np.dtype(storage)
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []

    def input(self, name: str, dtype: str, shape: Sequence[Dimension]) -> str:
        """Declare an input; a text dimension is dynamic."""
        self._inputs.append(helper.make_tensor_value_info(name, _onnx_type(dtype), shape))
        return name

    def output(self, value: str, name: str, dtype: str, shape: Sequence[Dimension]) -> None:
        """Declare an output under a name of its own."""
        self.node("Identity", name, value)
        self.result(name, dtype, shape)

    def result(self, name: str, dtype: str, shape: Sequence[Dimension]) -> None:
        """Declare as an output what a node of that name computes."""
        self._outputs.append(helper.make_tensor_value_info(name, _onnx_type(dtype), shape))

    def node(self, op: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output."""
        self._nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def nodes(self, op: str, names: Sequence[str], *inputs: str, **attributes: Any) -> Sequence[str]:
        """Append a node with several outputs."""
        self._nodes.append(helper.make_node(op, inputs, names, name=names[0], **attributes))
        return names

    def constant(self, name: str, values: npt.ArrayLike, dtype: str) -> str:
        """A small constant, inside the graph."""
        self._constants.setdefault(name, numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def weight(self, name: str, array: npt.NDArray[Any], dtype: str) -> str:
        """A large constant, in the weights file; the first direction to name it writes it."""
        stored = self._storage if dtype == "float32" else np.dtype(dtype)
        if name not in self._weights:
            self._weights.add(name, array.astype(stored))
        if name not in self._constants:
            self._constants[name] = self._weights.tensor(name)
        return self.cast(f"{name}/cast", name, dtype) if stored != np.dtype(dtype) else name

    def cast(self, name: str, value: str, dtype: str) -> str:
        """A change of dtype."""
        return self.node("Cast", name, value, to=_onnx_type(dtype))

    def reshape(self, name: str, value: str, shape: Sequence[int]) -> str:
        """A change of shape; a 0 keeps the batch, as ONNX has it."""
        label = "shape/" + "x".join(map(str, shape))
        return self.node("Reshape", name, value, self.constant(label, shape, "int64"))

    def model(self, documentation: str) -> ModelProto:
        """The finished graph."""
        graph = helper.make_graph(
            self._nodes,
            self.name,
            self._inputs,
            self._outputs,
            list(self._constants.values()),
            doc_string=documentation,
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="flowxfer",
        )


def _onnx_type(dtype: str) -> int:
    return onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
