"""The stacked computation against the layers whose weights it shares."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from flowxfer.glow import Glow, GlowConfig
from flowxfer.glow.training.stacked import StackedGlow


def models(coupling: str = "additive", lu: bool = False) -> tuple[Glow, StackedGlow]:
    """A model in float64 whose every weight matters, and its stacked computation."""
    torch.manual_seed(0)
    config = GlowConfig(image_size=16, levels=2, depth=3, width=8, coupling=coupling, lu=lu)  # type: ignore[arg-type]
    model = Glow(config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    stacked = StackedGlow(model)
    stacked.fold()
    return model, stacked


IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.5


@pytest.mark.parametrize(("coupling", "lu", "kind"), [*product(("additive", "affine"), (False, True), ("raw", "eps"))])
def test_it_is_the_same_function_with_the_same_gradients(coupling: str, lu: bool, kind: str) -> None:
    def computed(flow: Glow) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        latents, log_prob = flow.encode_with_log_prob(IMAGES, kind)  # type: ignore[arg-type]
        pictures = flow.decode([z.roll(1, 0) + 0.1 for z in latents], kind)  # type: ignore[arg-type]
        loss = log_prob.sum() + (pictures - IMAGES).square().sum()
        results = [*latents, log_prob, pictures]
        return results, torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)

    model, stacked = models(coupling, lu)
    (expected, gradients), (got, got_gradients) = computed(model), computed(stacked)
    assert all(torch.allclose(a, b, rtol=1e-10, atol=1e-12) for a, b in zip(expected, got, strict=True))
    for (name, _), a, b in zip(model.named_parameters(), gradients, got_gradients, strict=True):
        assert a.abs().max() > 1e-6, name
        assert torch.allclose(a, b, rtol=1e-8, atol=1e-9 * float(a.abs().max())), name


def test_a_round_trip_is_exact_to_rounding() -> None:
    _, stacked = models()
    assert torch.allclose(stacked.decode(stacked.encode(IMAGES)), IMAGES, atol=1e-12)


def test_nets_in_bfloat16_leave_the_round_trip_exact() -> None:
    model, _ = models()
    stacked = StackedGlow(model.float(), precision=torch.bfloat16)
    stacked.fold()
    images = IMAGES.float()
    assert torch.allclose(stacked.decode(stacked.encode(images, "raw"), "raw"), images, atol=1e-5)
    assert not torch.equal(stacked.encode(images, "raw")[0], model.encode(images, "raw")[0])  # they are in bfloat16


def test_inverses_follow_matrices_that_training_moves() -> None:
    model, stacked = models()
    generator = torch.Generator().manual_seed(2)
    steps = model.steps(1)

    def residuals() -> Tensor:  # I − W X
        return torch.stack(
            [
                torch.eye(24) - step.conv1x1.matrix() @ x
                for step, x in zip(steps, stacked._stacks[1].inverses, strict=True)
            ]
        ).detach()

    for _ in range(50):
        with torch.no_grad():
            for step in steps:
                move = torch.randn(24, 24, generator=generator, dtype=torch.float64).sign()
                step.conv1x1.weight.add_(1e-4 * move)  # Adam moves every weight by about the learning rate
        before = residuals()
        assert before.abs().max() > 1e-5
        stacked.follow()
        assert torch.allclose(residuals(), before @ before, atol=1e-12)  # Newton's iteration squares them
        assert residuals().abs().max() < 1e-6
    stacked.invert()
    assert residuals().abs().max() < 1e-12
