"""A bundle's graphs, run without the runtime that is built on them."""

from __future__ import annotations

import numpy as np
import onnxruntime

from flowxfer.bundle import COMBINE, DECODE, ENCODE


class GraphRunner:
    def __init__(self, folder):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._sessions = {
            name: onnxruntime.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"])
            for name in (ENCODE, DECODE, COMBINE)
        }
        types = {"tensor(double)": np.float64, "tensor(float)": np.float32}
        self._dtype = types[self._sessions[ENCODE].get_outputs()[0].type]

    def encode(self, images, bin_width=1):
        return self._sessions[ENCODE].run(None, {"image": images, "bin_width": np.array(bin_width, np.float32)})

    def decode(self, z, direction=None, alpha=None, bin_width=1):
        direction = [np.zeros_like(level[:1]) for level in z] if direction is None else direction
        alpha = np.zeros((len(z[0]), 1)) if alpha is None else alpha
        feed = {f"z{i}": level.astype(self._dtype) for i, level in enumerate(z)}
        feed |= {f"direction{i}": level.astype(self._dtype) for i, level in enumerate(direction)}
        feed |= {"alpha": alpha.astype(self._dtype), "bin_width": np.array(bin_width, np.float32)}
        return self._sessions[DECODE].run(None, feed)[0]
