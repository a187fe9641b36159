"""The two losses: the likelihood, and the transfer itself through the differentiable inverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from flowxfer.glow.model import Glow, LatentKind

__all__ = [
    "PairedTerms",
    "change_weights",
    "changed_region",
    "likelihood_loss",
    "outside_weights",
    "paired_losses",
    "paired_terms",
    "transfer_errors",
    "transfer_loss",
]

CHANGE_THRESHOLD = 0.03  # mean over the channels, of a range of 1: 8 grey levels
WINDOW_PX = 9  # about an eye of a 64x64 face
MARGIN = 1 / 32  # of a picture's width, in which a change may fade out


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


def outside_weights(neutral: Tensor, expression: Tensor, outside: float) -> Tensor:
    """Weights (N, 1, H, W): 1 in the changed region and a margin around it, ``outside`` elsewhere.

    What the expression leaves alone must stay as it is: hair and background are most of a picture, and soften first.
    """
    reach = round(MARGIN * neutral.shape[-1])
    near = functional.max_pool2d(changed_region(neutral, expression), 2 * reach + 1, stride=1, padding=reach)
    return outside + (1 - outside) * near


def _energy(x: Tensor, weights: Tensor | None, gradients: float) -> Tensor:
    """``‖x‖²`` of each of (N, 3, H, W), (N,), and ``gradients`` times that of neighbouring pixels' differences."""
    squares = x.square() if weights is None else x.square() * weights
    energy = squares.flatten(1).sum(1)
    if gradients:
        for axis in (2, 3):
            energy = energy + gradients * x.diff(dim=axis).square().flatten(1).sum(1)
    return energy


def transfer_errors(
    transferred: Tensor,
    target: Tensor,
    neutral: Tensor,
    expression: Tensor,
    strength: Tensor,
    *,
    floor: float,
    weights: Tensor | None = None,
    gradients: float = 0.0,
) -> Tensor:
    """Squared error of each transferred face in units of the change that was asked for, (N,); about 1 for no transfer.

    ``‖transferred − target‖² / (strength² ‖Δ‖² + floor · mean_m ‖Δ‖²)`` with ``Δ = expression − neutral``. The floor
    keeps expressions that hardly change a face from ruling the batch.

    Args:
        transferred: what the model made, (N, 3, H, W).
        target: the same people's true pictures.
        neutral: the same people's neutral faces.
        expression: the same people with the expression in full.
        strength: alpha of each, (N,).
        floor: more than 0.
        weights: of the pixels in every norm, (N, 1, H, W).
        gradients: weight in every norm of the differences between neighbouring pixels, which edges are made of.
    """
    error = _energy(transferred - target, weights, gradients)
    change = _energy(expression - neutral, weights, gradients)
    return error / (strength.square() * change + floor * change.mean())


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
    """Mean of :func:`transfer_errors`, a scalar."""
    return transfer_errors(transferred, target, neutral, expression, strength, floor=floor, weights=weights).mean()


class PairedTerms(NamedTuple):
    """What the two losses are means of.

    Args:
        bits: bits per dimension of the N neutral faces and of those with an expression that were encoded.
        errors: :func:`transfer_errors` of the N transfers.
    """

    bits: Tensor
    errors: Tensor


def paired_terms(
    model: Glow,
    neutral: Tensor,
    expression: Tensor,
    target: Tensor,
    strength: Tensor,
    *,
    kind: LatentKind = "raw",
    floor: float = 0.5,
    weak_change_cap: float = 1.0,
    outside: float = 1.0,
    gradients: float = 0.0,
    directions: Sequence[Tensor] = (),
) -> PairedTerms:
    """Bits per dimension, and the errors of transfers between neighbours.

    Person 2k receives from 2k + 1 and the other way round:
    ``decode(z_neutral + strength · (donor's z_expression − donor's z_neutral))``.

    Args:
        model: what is trained.
        neutral: neutral faces, dequantised images (N, 3, H, W) with N even.
        expression: the same people with the expression in full, under the same noise.
        target: the same people with the expression at ``strength``, under the same noise.
        strength: alpha of each, (N,).
        kind: latents that the transfer adds.
        floor: as in :func:`transfer_errors`.
        weak_change_cap: as in :func:`change_weights`; 1 for no such weights.
        outside: as in :func:`outside_weights`; 1 for no such weights.
        gradients: as in :func:`transfer_errors`.
        directions: what is added to the last M people in place of a donor's difference, one (M, C, H, W) per level; M
            is even, and their pictures with the expression are not encoded.
    """
    count = len(neutral)
    performed = count - len(directions[0]) if directions else count
    latents, log_prob = model.encode_with_log_prob(torch.cat([neutral, expression[:performed]]), kind)
    alpha = strength[:, None, None, None]
    donors = torch.arange(performed, device=neutral.device) ^ 1
    moved = []
    for level, z in enumerate(latents):
        change = (z[count:] - z[:performed])[donors]
        if directions:
            change = torch.cat([change, directions[level]])
        moved.append(z[:count] + alpha * change)
    weights = None
    if weak_change_cap > 1 or outside != 1:
        weights = change_weights(neutral, expression, weak_change_cap) * outside_weights(neutral, expression, outside)
    made = model.decode(moved, kind)
    pictures = made, target, neutral, expression
    errors = transfer_errors(*pictures, strength, floor=floor, weights=weights, gradients=gradients)
    return PairedTerms(-log_prob, errors)


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
    """Means of :func:`paired_terms`, two scalars."""
    pictures = neutral, expression, target
    terms = paired_terms(model, *pictures, strength, kind=kind, floor=floor, weak_change_cap=weak_change_cap)
    return terms.bits.mean(), terms.errors.mean()
