"""Glow from the package normflows: its own layers and random weights of the same architecture.

It has no edge channel, scales nothing by ``exp(3 · logs)`` and has no learned priors; its nets have biases and leaky
ReLUs, here with a slope of 0. Its log-determinants come with every call and are thrown away.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from flowxfer.benchmarks.models import SHIFT_STD, ModelFolder, photographs
from flowxfer.glow import GlowConfig
from flowxfer.glow.pixels import from_pixels

from .torch_runner import Flow, TorchRunner

__all__ = ["Normflows"]


class NormflowsGlow:
    """``normflows.MultiscaleFlow`` of ``GlowBlock``, whose inverse encodes and whose deepest level is the first."""

    def __init__(self, config: GlowConfig) -> None:
        import normflows

        torch.manual_seed(0)
        levels, merges = [], []
        for channels in reversed(config.level_channels):
            block = (channels, config.width, config.coupling == "affine")
            steps: list[Any] = [
                normflows.flows.GlowBlock(*block, use_lu=config.lu, init_zeros=False) for _ in range(config.depth)
            ]
            levels.append([*steps, normflows.flows.Squeeze()])
        merges = [normflows.flows.Merge() for _ in pairwise(levels)]
        shapes = config.latent_shapes()[::-1]
        priors = [normflows.distributions.DiagGaussian(shape, trainable=False) for shape in shapes]
        self._flow = normflows.MultiscaleFlow(priors, levels, merges, class_cond=False).eval()
        for name, parameter in self._flow.named_parameters():
            if name.endswith("net.4.weight"):
                parameter.data.normal_(std=SHIFT_STD / (9 * config.width / 2) ** 0.5)
        with torch.no_grad():
            self._flow.inverse_and_log_det(from_pixels(torch.from_numpy(photographs(config.image_size, 2))))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Images to latents."""
        latents: list[Tensor] = self._flow.inverse_and_log_det(x)[0]
        return latents

    def decode(self, latents: list[Tensor]) -> Tensor:
        """Latents to images."""
        image: Tensor = self._flow.forward_and_log_det(latents)[0]
        return image


class Normflows(TorchRunner):
    """normflows, eagerly, as it is meant to be used."""

    def flow(self, model: ModelFolder) -> Flow:
        """Its Glow."""
        return NormflowsGlow(GlowConfig.from_dict(model.manifest.architecture))
