"""From a Glow to a bundle of ONNX graphs.

``folding`` turns layers into the fewest arrays, ``graphs`` lays them out as ONNX nodes, ``bundling`` writes both
directions over one weights file, and ``parity`` holds the graphs to PyTorch before anybody gets to use them.
"""

from flowxfer.export.bundling import export_bundle

__all__ = ["export_bundle"]
