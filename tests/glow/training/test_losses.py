"""Each loss against the same formula written down anew in NumPy and float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from flowxfer.glow import Glow, GlowConfig
from flowxfer.glow.training.losses import (
    change_weights,
    changed_region,
    likelihood_loss,
    outside_weights,
    paired_losses,
    paired_terms,
    transfer_errors,
    transfer_loss,
)

CONFIG = GlowConfig(image_size=8, levels=2, depth=2, width=4, bits=5)


@pytest.fixture
def model() -> Glow:
    """A tiny model whose every weight matters."""
    torch.manual_seed(0)
    model = Glow(CONFIG).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def images(count: int, seed: int) -> Tensor:
    """Random images in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, 8, 8, generator=generator, dtype=torch.float64) - 0.5


def reference_bits(model: Glow, batch: Tensor) -> float:
    """−log2 p(x) per dimension + bits, with the determinant of the full Jacobian."""
    bits = []
    for image in batch:

        def flat(x: Tensor) -> Tensor:
            return torch.cat([z.flatten() for z in model.encode(x.view(1, 3, 8, 8))])

        jacobian = torch.autograd.functional.jacobian(flat, image.flatten())
        eps = flat(image.flatten()).detach().numpy()
        nats = np.linalg.slogdet(jacobian.numpy())[1] - 0.5 * (eps**2).sum() - 0.5 * eps.size * math.log(2 * math.pi)
        bits.append(-nats / math.log(2) / eps.size + CONFIG.bits)
    return float(np.mean(bits))


def reference_transfer(model: Glow, pictures: list[Tensor], alpha: list[float], kind: str, floor: float) -> float:
    """The loss of ``losses.transfer_loss``, pair by pair in NumPy."""
    neutral, expression, target = pictures
    change = ((expression - neutral) ** 2).numpy().reshape(len(neutral), -1).sum(1)
    terms = []
    for person in range(len(neutral)):
        donor = person + 1 if person % 2 == 0 else person - 1
        z_own, z_donor, z_donated = (
            model.encode(x[None], kind) for x in (neutral[person], neutral[donor], expression[donor])
        )
        moved = [a + alpha[person] * (c - b) for a, b, c in zip(z_own, z_donor, z_donated, strict=True)]
        error = float(((model.decode(moved, kind)[0] - target[person]) ** 2).sum())
        terms.append(error / (alpha[person] ** 2 * change[person] + floor * change.mean()))
    return float(np.mean(terms))


def test_likelihood_is_that_of_the_full_jacobian(model: Glow) -> None:
    batch = images(2, 0)
    with torch.no_grad():
        bits = float(likelihood_loss(model, batch))
    assert bits == pytest.approx(reference_bits(model, batch), rel=1e-10)


@pytest.mark.parametrize("kind", ["raw", "eps"])
def test_paired_losses_are_the_formula(model: Glow, kind: str) -> None:
    pictures = [images(4, seed) for seed in range(3)]
    alpha = [1.0, 0.4, 0.7, 1.0]
    with torch.no_grad():
        bits, transfer = paired_losses(model, *pictures, torch.tensor(alpha).double(), kind=kind, floor=0.3)  # type: ignore[arg-type, misc]
        expected = reference_transfer(model, pictures, [float(np.float32(a)) for a in alpha], kind, 0.3)
    assert float(transfer) == pytest.approx(expected, rel=1e-10)
    assert float(bits) == pytest.approx(reference_bits(model, torch.cat(pictures[:2])), rel=1e-10)


@pytest.mark.parametrize("which", [0, 1])
def test_gradients_are_those_of_finite_differences(model: Glow, which: int) -> None:
    pictures = [images(2, seed) for seed in range(3)]
    alpha = torch.tensor([1.0, 0.5], dtype=torch.float64)
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(paired_losses(model, *pictures, alpha)[which], parameters, allow_unused=True)
    torch.manual_seed(1)
    direction = [torch.randn_like(parameter) for parameter in parameters]
    expected = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True) if g is not None)
    values = []
    with torch.no_grad():
        for sign in (1, -2):
            for parameter, d in zip(parameters, direction, strict=True):
                parameter.add_(sign * 1e-6 * d)
            values.append(float(paired_losses(model, *pictures, alpha)[which]))
    assert (values[0] - values[1]) / 2e-6 == pytest.approx(expected, rel=1e-5)


def test_no_transfer_costs_one_without_a_floor() -> None:
    neutral, expression = images(4, 0), images(4, 1)
    strength = torch.full((4,), 0.5, dtype=torch.float64)
    target = neutral + 0.5 * (expression - neutral)
    loss = transfer_loss(neutral, target, neutral, expression, strength, floor=1e-12)
    assert float(loss) == pytest.approx(1)


def test_the_true_picture_costs_nothing() -> None:
    neutral, expression = images(2, 0), images(2, 1)
    assert float(transfer_loss(expression, expression, neutral, expression, torch.ones(2), floor=0.5)) == 0


def faces_with_a_strong_and_a_weak_change() -> tuple[Tensor, Tensor]:
    """A grey face, and one with a change of 0.4 at the top left and one of 0.1 at the bottom right."""
    neutral = torch.zeros(1, 3, 32, 32, dtype=torch.float64)
    expression = neutral.clone()
    expression[..., 4:8, 4:8] = 0.4
    expression[..., 24:28, 24:28] = 0.1
    return neutral, expression


def test_the_changed_region_is_the_change_and_a_pixel_around_it() -> None:
    region = changed_region(*faces_with_a_strong_and_a_weak_change())[0, 0]
    expected = torch.zeros(32, 32, dtype=torch.float64)
    expected[3:9, 3:9] = 1
    expected[23:29, 23:29] = 1
    assert torch.equal(region, expected)


def test_weights_lift_the_weak_change_only() -> None:
    weights = change_weights(*faces_with_a_strong_and_a_weak_change(), cap=8.0)[0, 0]
    assert weights[6, 6] == 1  # the strongest place
    assert weights[26, 26] == 8  # energy 16 times smaller, capped
    assert weights[16, 16] == 1  # nothing changes
    assert change_weights(*faces_with_a_strong_and_a_weak_change(), cap=20.0)[0, 0, 26, 26] == pytest.approx(16)


def test_weights_enter_both_norms() -> None:
    neutral, expression = faces_with_a_strong_and_a_weak_change()
    weights = change_weights(neutral, expression, cap=20.0)
    half = expression.clone()
    half[..., 24:28, 24:28] = 0  # the weak change is missing
    loss = transfer_loss(half, expression, neutral, expression, torch.ones(1), floor=1e-12, weights=weights)
    assert float(loss) == pytest.approx(0.5, abs=0.05)  # without weights it would be 1 / 17


def test_what_lies_outside_is_weighed_up() -> None:
    neutral, expression = faces_with_a_strong_and_a_weak_change()
    weights = outside_weights(neutral, expression, 3.0)[0, 0]
    expected = torch.full((32, 32), 3.0, dtype=torch.float64)
    expected[2:10, 2:10] = 1  # the changed region and, of 32 pixels, a margin of one
    expected[22:30, 22:30] = 1
    assert torch.equal(weights, expected)


def test_differences_between_neighbours_enter_both_norms() -> None:
    neutral = torch.zeros(1, 3, 4, 4, dtype=torch.float64)
    expression, blurred = neutral.clone(), neutral.clone()
    expression[..., 1, 1] = 1  # per channel: ‖Δ‖² = 1, and 4 differences of 1
    blurred[..., 1, 1:3] = 0.5  # the error: ‖·‖² = 0.5, and differences 0.5, 1, 0.5 across and 4 times 0.5 down
    strength = torch.ones(1, dtype=torch.float64)
    errors = transfer_errors(blurred, expression, neutral, expression, strength, floor=1e-12, gradients=0.5)
    assert float(errors) == pytest.approx((0.5 + 0.5 * (1.5 + 1)) / (1 + 0.5 * 4))


def test_learned_directions_take_the_place_of_donors(model: Glow) -> None:
    pictures = [images(6, seed) for seed in range(3)]
    strength = torch.tensor([1.0, 0.4, 0.7, 1.0, 0.5, 1.0], dtype=torch.float64)
    directions = [torch.randn(2, *shape, dtype=torch.float64) for shape in CONFIG.latent_shapes(8)]
    with torch.no_grad():
        bits, errors = paired_terms(model, *pictures, strength, floor=0.3, directions=directions)
        _, donated = paired_terms(model, *pictures, strength, floor=0.3)
        moved = [
            z + strength[4:, None, None, None] * d
            for z, d in zip(model.encode(pictures[0][4:], "raw"), directions, strict=True)
        ]
        neutral, expression, target = pictures
        change = (expression - neutral).square().flatten(1).sum(1)
        error = (model.decode(moved, "raw") - target[4:]).square().flatten(1).sum(1)
    assert bits.shape == (10,)  # of these two the picture with the expression is not encoded
    assert torch.allclose(errors[:4], donated[:4])
    assert torch.allclose(errors[4:], error / (strength[4:].square() * change[4:] + 0.3 * change.mean()))
