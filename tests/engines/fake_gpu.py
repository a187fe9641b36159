"""A GPU that is made up: ONNX Runtime's Python interface over host arrays that say where they lie.

Graphs run on the real CPU provider. What is simulated is what the CUDA path must get right: every copy between host and
device is counted, and a captured graph replays from the addresses that it was captured with, whatever is bound since.
"""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"

RealSession, RealOptions = onnxruntime.InferenceSession, onnxruntime.SessionOptions


class FakeGpu:
    """Counts what crosses the bus; :attr:`module` stands in for ``onnxruntime``."""

    def __init__(self):
        self.copies = Counter()
        self.bytes_to_host = 0
        self.sessions = {}
        self.preloaded = 0
        gpu = self

        class Value(_Value):
            device = gpu

        class Session(_Session):
            device = gpu

        self.value = Value
        self.module = SimpleNamespace(
            __version__="1.31.1",
            get_available_providers=lambda: [TENSORRT, CUDA, CPU],
            preload_dlls=self._preload,
            InferenceSession=Session,
            OrtValue=Value,
            SessionOptions=RealOptions,
            RunOptions=_RunOptions,
        )

    def _preload(self):
        self.preloaded += 1
        print("Failed to load libcudart.so.13")  # as the real one does

    def counted(self):
        """The copies since the last call."""
        counts = dict(self.copies)
        self.copies.clear()
        return counts


class _Value:
    def __init__(self, array, place):
        self.array, self.place = array, place

    @classmethod
    def ortvalue_from_numpy(cls, array, place="cpu", device_id=0):
        if place == "cpu":
            return cls(array, place)  # the real one borrows the array's memory, too
        cls.device.copies["to device"] += 1
        return cls(array.copy(), place)

    @classmethod
    def ortvalue_from_shape_and_type(cls, shape, element_type, place, device_id):
        as_number = isinstance(element_type, int)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(element_type) if as_number else element_type
        return cls(np.full(shape, 99, dtype), place)  # memory that nobody has written

    def update_inplace(self, value):
        source = value if isinstance(value, np.ndarray) else value.array
        assert (source.shape, source.dtype) == (self.array.shape, self.array.dtype)
        self.device.copies["to device" if source is value else "on device"] += 1
        self.array[...] = source

    def numpy(self):
        if self.place == "cpu":
            return self.array
        self.device.copies["to host"] += 1
        self.device.bytes_to_host += self.array.nbytes
        return self.array.copy()

    def shape(self):
        return list(self.array.shape)

    def element_type(self):
        return onnx.helper.np_dtype_to_tensor_dtype(self.array.dtype)


class _RunOptions:
    graph_id = 0

    def add_run_config_entry(self, key, value):
        assert key == "gpu_graph_id"
        self.graph_id = int(value)


class _Binding:
    def __init__(self):
        self.inputs, self.outputs, self.places = {}, {}, {}

    def bind_cpu_input(self, name, array):
        assert isinstance(array, np.ndarray)
        self.inputs[name] = array

    def bind_ortvalue_input(self, name, value):
        assert value.place == "cuda", f"{name} lies on the host"
        self.inputs[name] = value

    def bind_output(self, name, place, device_id=0):
        self.outputs[name], self.places[name] = None, place

    def bind_ortvalue_output(self, name, value):
        self.outputs[name], self.places[name] = value, value.place

    def get_outputs(self):
        return list(self.outputs.values())


class _Session:
    def __init__(self, graph, options, providers):
        self.graph, self.settings = graph, options
        self.options = dict(providers)
        self._providers = [name for name, _ in providers]
        self._real = RealSession(graph, providers=[CPU])
        captures = [of.get("enable_cuda_graph", of.get("trt_cuda_graph_enable")) for of in self.options.values()]
        self._captures = captures[0] == "1"
        self.captured = {}
        self.device.sessions[graph.name] = self

    def get_providers(self):
        return [*self._providers, CPU]

    def io_binding(self):
        return _Binding()

    def run_with_iobinding(self, binding, options=None):
        graph_id = options.graph_id if options else 0
        if self._captures and graph_id != -1:
            self._replay(binding, graph_id)
        else:
            self._run(binding)

    def _replay(self, binding, graph_id):
        if graph_id not in self.captured:
            assert all(isinstance(value, _Value) for value in binding.inputs.values()), "a host input in a capture"
            assert all(isinstance(value, _Value) for value in binding.outputs.values()), "an output without an address"
            self.captured[graph_id] = binding
        self._run(self.captured[graph_id])

    def _run(self, binding):
        feed = {}
        for name, value in binding.inputs.items():
            self.device.copies["to device"] += isinstance(value, np.ndarray)
            feed[name] = value if isinstance(value, np.ndarray) else value.array
        results = self._real.run(list(binding.outputs), feed)
        for (name, value), result in zip(list(binding.outputs.items()), results, strict=True):
            if value is None:
                place = binding.places[name]
                if place == "cpu":
                    self.device.copies["to host"] += 1
                    self.device.bytes_to_host += result.nbytes
                binding.outputs[name] = self.device.value(result, place)
            else:
                assert value.array.shape == result.shape
                value.array[...] = result
