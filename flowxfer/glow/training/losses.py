"""The two losses: the likelihood, and the transfer itself through the differentiable inverse."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from flowxfer.glow.model import Glow, LatentKind

__all__ = ["change_weights", "changed_region", "likelihood_loss", "paired_losses", "transfer_loss"]

CHANGE_THRESHOLD = 0.03  # mean over the channels, of a range of 1: 8 grey levels
WINDOW_PX = 9  # about an eye of a 64x64 face


def likelihood_loss(model: Glow, images: Tensor) -> Tensor:
    """Mean bits per dimension of dequantised images (N, 3, H, W), a scalar (equation 2 of the Glow paper)."""
    return -model.log_prob(images).mean()


def changed_region(neutral: Tensor, expression: Tensor) -> Tensor:
    """Where an expression changes a face: 1 there and within a pixel of it, else 0; (N, 3, H, W) to (N, 1, H, W)."""
    change = (expression - neutral).abs().mean(1, keepdim=True)
    return functional.max_pool2d((change > CHANGE_THRESHOLD).to(neutral.dtype), 3, stride=1, padding=1)


def change_weights(neutral: Tensor, expression: Tensor, cap: float) -> Tensor:
    """Weights (N, 1, H, W), from 1 to ``cap``, that let weak changes count beside strong ones.

    In the changed region the weight is the change's energy around the pixel in the picture's busiest place, divided by
    that around this pixel: closing eyes are not lost beside an opening mouth.
    """
    energy = (expression - neutral).square().mean(1, keepdim=True)
    energy = functional.avg_pool2d(energy, WINDOW_PX, stride=1, padding=WINDOW_PX // 2)
    weights = (energy.amax((2, 3), keepdim=True) / energy.clamp_min(1e-12)).clamp(1, cap)
    region = changed_region(neutral, expression)
    return 1 + region * (weights - 1)


def transfer_loss(
    transferred: Tensor,
    target: Tensor,
    neutral: Tensor,
    expression: Tensor,
    strength: Tensor,
    *,
    floor: float,
    weights: Tensor | None = None,
) -> Tensor:
    """Squared error of transferred faces in units of the change that was asked for; a scalar, 1 for no transfer.

    ``mean_n(‖transferred − target‖² / (strength² ‖Δ‖² + floor · mean_m ‖Δ‖²))`` with ``Δ = expression − neutral``. The
    floor keeps expressions that hardly change a face from ruling the batch.

    Args:
        transferred: what the model made, (N, 3, H, W).
        target: the same people's true pictures.
        neutral: the same people's neutral faces.
        expression: the same people with the expression in full.
        strength: alpha of each, (N,).
        floor: more than 0.
        weights: of the pixels in every norm, (N, 1, H, W).
    """
    error, change = (transferred - target).square(), (expression - neutral).square()
    if weights is not None:
        error, change = error * weights, change * weights
    change = change.flatten(1).sum(1)
    return (error.flatten(1).sum(1) / (strength.square() * change + floor * change.mean())).mean()


def paired_losses(
    model: Glow,
    neutral: Tensor,
    expression: Tensor,
    target: Tensor,
    strength: Tensor,
    *,
    kind: LatentKind = "raw",
    floor: float = 0.5,
    weak_change_cap: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Bits per dimension of the neutral and the full faces, and the transfer loss between neighbours, two scalars.

    Person 2k receives from 2k + 1 and the other way round:
    ``decode(z_neutral + strength · (donor's z_expression − donor's z_neutral))``.

    Args:
        model: what is trained.
        neutral: neutral faces, dequantised images (N, 3, H, W) with N even.
        expression: the same people with the expression in full, under the same noise.
        target: the same people with the expression at ``strength``, under the same noise.
        strength: alpha of each, (N,).
        kind: latents that the transfer adds.
        floor: as in :func:`transfer_loss`.
        weak_change_cap: as in :func:`change_weights`; 1 for no weights.
    """
    latents, log_prob = model.encode_with_log_prob(torch.cat([neutral, expression]), kind)
    alpha = strength[:, None, None, None]
    donors = torch.arange(len(neutral), device=neutral.device) ^ 1
    moved = []
    for z in latents:
        z_neutral, z_expression = z.chunk(2)
        moved.append(z_neutral + alpha * (z_expression - z_neutral)[donors])
    weights = change_weights(neutral, expression, weak_change_cap) if weak_change_cap > 1 else None
    transfer = transfer_loss(
        model.decode(moved, kind), target, neutral, expression, strength, floor=floor, weights=weights
    )
    return -log_prob.mean(), transfer
