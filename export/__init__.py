"""From a Glow to a bundle of ONNX graphs.

``folding`` turns layers into the fewest arrays, ``graphs`` lays them out as ONNX nodes, ``bundling`` writes both
directions over one weights file, and ``parity`` holds the graphs to PyTorch before anybody gets to use them.
``to_tensorrt`` and ``triton`` write the same model for NVIDIA's runtimes, from weights or from a bundle.
"""

from flowxfer.export.bundling import export_bundle
from flowxfer.export.to_tensorrt import bundle_to_tensorrt, to_tensorrt
from flowxfer.export.triton import to_triton

__all__ = ["bundle_to_tensorrt", "export_bundle", "to_tensorrt", "to_triton"]
