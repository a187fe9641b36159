"""How well a model transfers between held-out people, one picture of one donor, beside pixel arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from flowxfer.glow.model import Glow, LatentKind
from flowxfer.glow.pixels import from_pixels
from flowxfer.glow.training.losses import changed_region
from flowxfer.images.heldout import HeldOut

__all__ = ["Measures", "arithmetic", "measure", "transfer", "validate"]

Read: TypeAlias = Callable[[list[Tensor]], list[Tensor]]

MEAN = "mean"
BATCH = 64


@dataclass(frozen=True)
class Measures:
    """Means over people for one expression.

    Args:
        expression: its name; ``"mean"`` is the mean over the expressions.
        changed: squared error in the region that the expression changes, in units of that of no transfer.
        whole: the same over the whole picture.
        drift: root of the mean squared change outside that region, in grey levels.
        cosine: between the change that was made and the true one, in that region.
    """

    expression: str
    changed: float
    whole: float
    drift: float
    cosine: float


def _encode(model: Glow, pictures: Tensor, kind: LatentKind) -> list[Tensor]:
    """Latents of (N, 3, S, S), in batches."""
    batches = [model.encode(batch, kind) for batch in torch.split(pictures, BATCH)]
    return [torch.cat(levels) for levels in zip(*batches, strict=True)]


def _decode(model: Glow, latents: list[Tensor], kind: LatentKind) -> Tensor:
    """Images of latents, in batches, clipped to the range of images."""
    batches = zip(*(torch.split(z, BATCH) for z in latents), strict=True)
    return torch.cat([model.decode(list(batch), kind) for batch in batches]).clamp(-0.5, 0.5)


def _moved(target: list[Tensor], change: list[Tensor], alpha: float) -> list[Tensor]:
    return [t + alpha * c for t, c in zip(target, change, strict=True)]


@torch.no_grad()
def transfer(model: Glow, target: Tensor, donor: Tensor, expression: Tensor, alpha: float, kind: LatentKind) -> Tensor:
    """``decode(z_target + alpha · (z_expression − z_donor))`` of (N, 3, S, S), clipped to the range of images."""
    z_target, z_donor, z_expression = (_encode(model, pictures, kind) for pictures in (target, donor, expression))
    change = [expression - donor for expression, donor in zip(z_expression, z_donor, strict=True)]
    return _decode(model, _moved(z_target, change, alpha), kind)


def arithmetic(target: Tensor, donor: Tensor, expression: Tensor, alpha: float) -> Tensor:
    """Transfer without a model: ``target + alpha · (expression − donor)``, clipped."""
    return (target + alpha * (expression - donor)).clamp(-0.5, 0.5)


def measure(name: str, transferred: Tensor, truth: Tensor, target: Tensor) -> Measures:
    """Compare transferred faces (N, 3, S, S) with the true ones and with the target's neutral ones."""
    region = changed_region(target, truth).double()
    made, true = (transferred - target).double(), (truth - target).double()
    error = (made - true).square()
    outside = 1 - region
    cosine = torch.cosine_similarity((made * region).flatten(1), (true * region).flatten(1))
    return Measures(
        name,
        float((error * region).sum() / (true.square() * region).sum()),
        float(error.sum() / true.square().sum()),
        256 * float(((made.square() * outside).sum() / (3 * outside.sum())).sqrt()),
        float(cosine.mean()),
    )


def _with_mean(rows: list[Measures]) -> list[Measures]:
    columns = ("changed", "whole", "drift", "cosine")
    return [*rows, Measures(MEAN, *(float(np.mean([asdict(row)[column] for row in rows])) for column in columns))]


@torch.no_grad()
def validate(
    model: Glow, held_out: HeldOut, *, kind: LatentKind = "raw", alpha: float = 1.0, read: Read | None = None
) -> tuple[list[Measures], list[Measures]]:
    """Measure the model and pixel arithmetic, per expression and in the mean; each person's donor is the next one.

    Args:
        model: in evaluation mode.
        held_out: of its size.
        kind: latents that the transfer adds.
        alpha: strength.
        read: what is added in place of a donor's difference, of that difference.
    """
    device = next(model.parameters()).device
    neutral = from_pixels(torch.from_numpy(held_out.neutral).to(device))
    z_neutral = _encode(model, neutral, kind)
    z_donor = [z.roll(-1, 0) for z in z_neutral]
    flow, pixels = [], []
    for index, name in enumerate(held_out.names):
        truth = from_pixels(torch.from_numpy(np.ascontiguousarray(held_out.truth[:, index])).to(device))
        change = [z.roll(-1, 0) - donor for z, donor in zip(_encode(model, truth, kind), z_donor, strict=True)]
        made = _decode(model, _moved(z_neutral, change if read is None else read(change), alpha), kind)
        flow.append(measure(name, made, truth, neutral))
        donated = arithmetic(neutral, neutral.roll(-1, 0), truth.roll(-1, 0), alpha)
        pixels.append(measure(name, donated, truth, neutral))
    return _with_mean(flow), _with_mean(pixels)
