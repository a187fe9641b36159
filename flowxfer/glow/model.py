"""Glow: an exact, invertible map between images and latents."""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from torch import Tensor, nn

from flowxfer.bundle.config import GlowConfig
from flowxfer.errors import ShapeError
from flowxfer.glow.layers import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    InvertibleConv1x1,
    InvertibleConv1x1LU,
    Split,
    Squeeze,
    TopPrior,
)
from flowxfer.glow.nets import ActNormScale, CouplingNet

LatentKind = Literal["eps", "raw"]

__all__ = ["Glow", "LatentKind", "Step"]


class Step(nn.Module):
    """One step of flow: ActNorm, invertible 1x1 convolution, coupling (figure 2a)."""

    def __init__(self, channels: int, config: GlowConfig) -> None:
        super().__init__()
        self.actnorm = ActNorm(channels)
        self.conv1x1 = InvertibleConv1x1LU(channels) if config.lu else InvertibleConv1x1(channels)
        coupling = AffineCoupling if config.coupling == "affine" else AdditiveCoupling
        self.coupling = coupling(channels, config.width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (y, log_det)."""
        log_det = x.new_zeros(len(x))
        for layer in (self.actnorm, self.conv1x1, self.coupling):
            x, contribution = layer(x)
            log_det = log_det + contribution
        return x, log_det

    def inverse(self, y: Tensor) -> Tensor:
        """Return x."""
        for layer in (self.coupling, self.conv1x1, self.actnorm):
            y = layer.inverse(y)
        return y


class Glow(nn.Module):
    """The multi-scale flow of the Glow paper (https://arxiv.org/abs/1807.03039), computing what OpenAI's code computes.

    Images are (N, 3, H, W) in (−0.5, 0.5), as :func:`flowxfer.glow.pixels.from_pixels` makes them. Latents are a list
    with one (N, C, H, W) tensor per level (:meth:`GlowConfig.latent_shapes`), of one of two kinds: ``"eps"``, each
    level's residual standardised by its prior, or ``"raw"``, the state as it leaves the flow.
    """

    def __init__(self, config: GlowConfig) -> None:
        super().__init__()
        self.config = config
        self.squeeze = Squeeze()
        channels = config.level_channels
        self.levels = nn.ModuleList(nn.ModuleList(Step(c, config) for _ in range(config.depth)) for c in channels)
        self.splits = nn.ModuleList(Split(c) for c in channels[:-1])
        self.prior = TopPrior(channels[-1])
        self.prior.requires_grad_(config.learned_prior)

    def forward(self, images: Tensor) -> Tensor:
        """:meth:`log_prob`."""
        return self.log_prob(images)

    def steps(self, level: int) -> list[Step]:
        """The steps of flow of one level, in the order of encoding."""
        return list(cast(nn.ModuleList, self.levels[level]))  # type: ignore[arg-type]

    def split(self, level: int) -> Split:
        """The split that ends a level below the top."""
        return cast(Split, self.splits[level])

    def encode(self, images: Tensor, kind: LatentKind = "eps") -> list[Tensor]:
        """Map images to latents.

        Raises:
            ShapeError: the images are not (N, 3, H, W), or H or W is not a multiple of ``2 ** levels``.
        """
        return self.encode_with_log_det(images, kind)[0]

    def encode_with_log_det(self, images: Tensor, kind: LatentKind = "eps") -> tuple[list[Tensor], Tensor]:
        """Map images to latents and the log_det (N,) of that map."""
        raw, eps, log_det, prior_log_det = self._encode(images)
        return (eps, log_det + prior_log_det) if kind == "eps" else (raw, log_det)

    def encode_with_log_prob(self, images: Tensor, kind: LatentKind = "eps") -> tuple[list[Tensor], Tensor]:
        """Map images to latents of either kind and, in the same pass, to what :meth:`log_prob` gives."""
        raw, eps, log_det, prior_log_det = self._encode(images)
        dimensions = images[0].numel()
        squares = torch.stack([z.square().flatten(1).sum(1) for z in eps]).sum(0)
        nats = log_det + prior_log_det - 0.5 * (squares + dimensions * math.log(2 * math.pi))
        return eps if kind == "eps" else raw, nats / (math.log(2) * dimensions) - self.config.bits

    def _encode(self, images: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor]:
        """Latents of both kinds, the log_det of the steps and that of the priors."""
        self._check_images(images)
        x = images
        raw: list[Tensor] = []
        eps: list[Tensor] = []
        log_det = prior_log_det = x.new_zeros(len(x))
        for level in range(self.config.levels):
            x, _ = self.squeeze(x)
            x, contribution = self.forward_steps(level, x)
            log_det = log_det + contribution
            if level < len(self.splits):
                raw.append(x.chunk(2, 1)[1])
                x, z, contribution = self.split(level)(x)
            else:
                raw.append(x)
                z, contribution = self.prior(x)
            eps.append(z)
            prior_log_det = prior_log_det + contribution
        return raw, eps, log_det, prior_log_det

    def decode(self, latents: list[Tensor], kind: LatentKind = "eps") -> Tensor:
        """Map latents back to images; the inverse of :meth:`encode`, and differentiable.

        Raises:
            ShapeError: the number of levels or a level's channels are not this model's.
        """
        self._check_latents(latents)
        x = self.prior.inverse(latents[-1]) if kind == "eps" else latents[-1]
        for level in reversed(range(len(self.levels))):
            if level < len(self.splits):
                z = latents[level]
                x = self.split(level).inverse(x, z) if kind == "eps" else torch.cat([x, z], 1)
            x = self.inverse_steps(level, x)
            x = self.squeeze.inverse(x)
        return x

    def forward_steps(self, level: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """Take a level's state (N, C, H, W) through its steps; also their log_det, (N,)."""
        log_det = x.new_zeros(len(x))
        for step in self.steps(level):
            x, contribution = step(x)
            log_det = log_det + contribution
        return x, log_det

    def inverse_steps(self, level: int, y: Tensor) -> Tensor:
        """Undo :meth:`forward_steps`."""
        for step in reversed(self.steps(level)):
            y = step.inverse(y)
        return y

    def log_prob(self, images: Tensor) -> Tensor:
        """Log-likelihood of images in bits per dimension, (N,); the loss of the literature is its negative.

        It is that of the discrete image with ``2 ** bits`` values a dimension, so training adds uniform noise as wide
        as a bin to the images (equation 2).
        """
        return self.encode_with_log_prob(images)[1]

    def sample(self, count: int, *, temperature: float = 0.7, generator: torch.Generator | None = None) -> Tensor:
        """Draw images (count, 3, S, S); ``temperature`` is a factor on the standard normal eps."""
        parameter = self.prior.bias
        eps = [
            temperature
            * torch.randn(count, *shape, generator=generator, device=parameter.device, dtype=parameter.dtype)
            for shape in self.config.latent_shapes()
        ]
        return self.decode(eps)

    @torch.no_grad()
    def initialize(self, images: Tensor) -> None:
        """Data-dependent initialisation (section 3.1): every ActNorm normalises what it sees of this batch."""
        norms = [module for module in self.modules() if isinstance(module, ActNormScale)]
        for norm in norms:
            norm.initializing = True
        try:
            self.encode(images)
        finally:
            for norm in norms:
                norm.initializing = False

    def set_net_precision(self, precision: torch.dtype | None) -> None:
        """Run the coupling nets in ``torch.bfloat16`` or ``torch.float16``, or with None in the weights' dtype."""
        for module in self.modules():
            if isinstance(module, CouplingNet):
                module.precision = precision

    def _check_images(self, images: Tensor) -> None:
        multiple = 2**self.config.levels
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % multiple or images.shape[3] % multiple:
            raise ShapeError(
                f"expected images (N, 3, H, W) with H and W multiples of {multiple}, got {tuple(images.shape)}"
            )

    def _check_latents(self, latents: list[Tensor]) -> None:
        expected = [shape[0] for shape in self.config.latent_shapes()]
        got = [z.shape[1] if z.ndim == 4 else None for z in latents]
        if got != expected:
            raise ShapeError(
                f"expected one (N, C, H, W) tensor per level with channels {expected}, got shapes "
                f"{[tuple(z.shape) for z in latents]}"
            )
