"""What a model makes while it trains, as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flowxfer.glow.model import Glow, LatentKind
from flowxfer.glow.pixels import from_pixels, to_pixels
from flowxfer.glow.training.stores import Pixels
from flowxfer.glow.training.validation import arithmetic, transfer
from flowxfer.images.heldout import HeldOut
from flowxfer.provenance import EDITED, GENERATED, Mark, marking

__all__ = ["draw_samples", "draw_transfers", "save_grid"]


def save_grid(path: Path, pictures: Pixels, mark: Mark | None = None, *, zoom: int = 2) -> None:
    """Write uint8 (rows, columns, S, S, 3) as one PNG, enlarged ``zoom`` times."""
    rows, columns, height, width, _ = pictures.shape
    sheet = pictures.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
    image = Image.fromarray(sheet).resize((zoom * columns * width, zoom * rows * height), Image.Resampling.BICUBIC)
    with marking(path, mark) as temporary:
        image.save(temporary)


@torch.no_grad()
def draw_samples(model: Glow, path: Path, *, rows: int = 3, columns: int = 8) -> None:
    """Draw random faces, the same eps each time; the rows go from temperature 0.5 to 0.9."""
    generator = torch.Generator(next(model.parameters()).device)
    temperatures = np.linspace(0.5, 0.9, rows)
    sheet = [
        to_pixels(model.sample(columns, temperature=float(t), generator=generator.manual_seed(0))) for t in temperatures
    ]
    save_grid(path, torch.stack(sheet).cpu().numpy(), Mark(GENERATED))


def draw_transfers(model: Glow, path: Path, held_out: HeldOut, kind: LatentKind, *, rows: int | None = None) -> None:
    """Draw transfers, each to another person: ``rows`` of them, by default one per expression.

    The columns are the target, the donor, the donor's expression, the transfer by pixel arithmetic, by the model at
    alpha 0.5 and at 1, and the truth.
    """
    numbers = np.arange(len(held_out.names) if rows is None else rows)
    people, expressions = numbers % len(held_out), numbers % len(held_out.names)
    donors = (people + 1) % len(held_out.neutral)
    device = next(model.parameters()).device
    target, donor, donated, truth = (
        from_pixels(torch.from_numpy(pixels).to(device))
        for pixels in (
            held_out.neutral[people],
            held_out.neutral[donors],
            held_out.truth[donors, expressions],
            held_out.truth[people, expressions],
        )
    )
    made = [transfer(model, target, donor, donated, alpha, kind) for alpha in (0.5, 1.0)]
    columns = [target, donor, donated, arithmetic(target, donor, donated, 1.0), *made, truth]
    pictures = torch.stack([to_pixels(column) for column in columns], 1).cpu().numpy()
    save_grid(path, pictures, Mark(EDITED, alphas=(0.5, 1.0)))
