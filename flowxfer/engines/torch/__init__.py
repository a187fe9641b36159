"""PyTorch as the engine of a bundle: exact round trips around nets in bfloat16 or float16.

``convolutions`` picks the kernels, ``flow`` is the flow in rows of channels, ``engine`` gives it batches and devices,
``cuda_graphs`` takes the launches off the host where there is a GPU.
"""

from flowxfer.engines.torch.engine import TorchEngine

__all__ = ["TorchEngine"]
