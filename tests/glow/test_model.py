"""The whole model: an exact map, its density, its samples."""

from __future__ import annotations

import math

import pytest
import torch

from flowxfer.errors import ShapeError
from flowxfer.glow import Glow, GlowConfig, pixels
from flowxfer.glow.layers import ActNorm
from flowxfer.glow.nets import NormalizedConv2d
from tests.glow.random_glow import random_glow, randomize

VARIANTS = [
    {"coupling": coupling, "lu": lu, "learned_prior": learned_prior, "bits": bits}
    for coupling, lu, learned_prior, bits in [
        ("additive", False, True, 5),
        ("affine", False, True, 8),
        ("affine", True, True, 5),
        ("additive", True, False, 8),
    ]
]


@pytest.fixture(params=VARIANTS, ids=lambda variant: "-".join(str(value) for value in variant.values()))
def model(request):
    return random_glow(**request.param)


@pytest.fixture
def images():
    """Not square, more than one."""
    return torch.rand(3, 3, 8, 16, dtype=torch.float64) - 0.5


# ---------------------------------------------------------------- laws


@pytest.mark.parametrize("kind", ["eps", "raw"])
def test_decode_undoes_encode(model, images, kind):
    torch.testing.assert_close(model.decode(model.encode(images, kind), kind), images, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", ["eps", "raw"])
def test_encode_undoes_decode(model, kind):
    latents = [torch.randn(2, *shape, dtype=torch.float64) for shape in model.config.latent_shapes()]
    for back, latent in zip(model.encode(model.decode(latents, kind), kind), latents, strict=True):
        torch.testing.assert_close(back, latent, rtol=0, atol=1e-11)


def test_latents_have_the_shapes_of_the_configuration_and_the_size_of_the_image(model):
    image = torch.rand(2, 3, 8, 8, dtype=torch.float64) - 0.5
    shapes = [tuple(z.shape[1:]) for z in model.encode(image)]
    assert shapes == list(model.config.latent_shapes())
    assert sum(math.prod(shape) for shape in shapes) == model.config.dimensions == 3 * 8 * 8
    assert model.config.latent_shapes(16) == tuple((c, 2 * h, 2 * w) for c, h, w in shapes)


@pytest.mark.parametrize("kind", ["eps", "raw"])
def test_log_det_is_that_of_the_jacobian(model, kind):
    images = torch.rand(2, 3, 4, 8, dtype=torch.float64) - 0.5
    _, log_det = model.encode_with_log_det(images, kind)
    for image, claimed in zip(images, log_det, strict=True):
        torch.testing.assert_close(claimed, log_abs_det(model, image, kind), rtol=0, atol=1e-9)


def test_log_prob_is_the_change_of_variables(model):
    """log p(x) = log N(eps(x); 0, 1) + log |d eps / d x|, in bits per dimension of 2 ** bits grey levels."""
    image = torch.rand(3, 4, 8, dtype=torch.float64) - 0.5
    eps = torch.cat([z.flatten() for z in model.encode(image[None])])
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(eps).sum()
    nats = normal + log_abs_det(model, image, "eps") - model.config.bits * math.log(2) * image.numel()
    torch.testing.assert_close(model.log_prob(image[None])[0], nats / (math.log(2) * image.numel()))


def test_raw_latents_are_eps_before_the_priors(model, images):
    """A model's density of raw latents is what the priors say: both kinds decode to the same image."""
    eps, raw = model.encode(images, "eps"), model.encode(images, "raw")
    torch.testing.assert_close(model.decode(eps), model.decode(raw, "raw"), rtol=0, atol=1e-11)
    torch.testing.assert_close(model.prior.inverse(eps[-1]), raw[-1], rtol=0, atol=1e-12)
    assert not torch.allclose(eps[0], raw[0])


def test_a_batch_is_its_images_one_by_one(model, images):
    torch.testing.assert_close(model.log_prob(images), torch.cat([model.log_prob(image[None]) for image in images]))


def test_forward_is_log_prob(model, images):
    assert torch.equal(model(images), model.log_prob(images))


def test_decode_is_differentiable(model):
    latents = [torch.randn(1, *s, dtype=torch.float64, requires_grad=True) for s in model.config.latent_shapes()]
    gradients = torch.autograd.grad(model.decode(latents).square().sum(), latents)
    assert all(gradient.abs().min() > 0 for gradient in gradients)


def log_abs_det(model, image, kind):
    def flat(x):
        return torch.cat([z.flatten() for z in model.encode(x[None], kind)])

    jacobian = torch.autograd.functional.jacobian(flat, image).reshape(image.numel(), -1)
    return torch.linalg.slogdet(jacobian)[1]


# ---------------------------------------------------------------- initialisation


@pytest.mark.parametrize("coupling", ["additive", "affine"])
def test_initialize_normalises_what_every_layer_sees(coupling):
    model = Glow(GlowConfig(image_size=8, levels=2, depth=2, width=6, coupling=coupling))
    randomize(model.levels, std=0.05)
    images = 0.1 * torch.randn(16, 3, 8, 8) + 0.2
    model.initialize(images)
    seen = []
    for module in model.modules():
        if isinstance(module, (ActNorm, NormalizedConv2d)):
            module.register_forward_hook(lambda _, __, y: seen.append((y[0] if isinstance(y, tuple) else y).clone()))
    model.encode(images)
    assert len(seen) == 2 * 2 * 3
    for y in seen:
        torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(y.shape[1]), rtol=0, atol=1e-3)
        torch.testing.assert_close(y.var((0, 2, 3), correction=0), torch.ones(y.shape[1]), rtol=0, atol=1e-2)


def test_initialize_ends_even_when_it_fails():
    model = Glow(GlowConfig(image_size=8, levels=2, depth=1, width=6))
    with pytest.raises(ShapeError):
        model.initialize(torch.zeros(1, 3, 6, 6))
    before = model.levels[0][0].actnorm.bias.clone()
    model.encode(torch.ones(1, 3, 8, 8))
    assert torch.equal(model.levels[0][0].actnorm.bias, before)


def test_a_prior_that_is_not_learned_stays_standard():
    model = Glow(GlowConfig(image_size=8, levels=2, depth=1, width=6, learned_prior=False))
    model.log_prob(torch.rand(2, 3, 8, 8)).sum().backward()
    assert all(parameter.grad is None for parameter in model.prior.parameters())
    assert model.levels[0][0].actnorm.bias.grad is not None


# ---------------------------------------------------------------- sampling


def test_temperature_0_gives_the_one_image_in_the_middle(model):
    first, second = model.sample(2, temperature=0.0)
    assert torch.equal(first, second)
    zeros = [torch.zeros(1, *shape, dtype=torch.float64) for shape in model.config.latent_shapes()]
    torch.testing.assert_close(first, model.decode(zeros)[0])


def test_sampling_with_a_generator_is_reproducible(model):
    draws = [model.sample(3, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert draws[0].shape == (3, 3, 8, 8)
    assert torch.equal(draws[0], draws[1])
    assert not torch.allclose(draws[0], draws[2])


def test_temperature_is_a_factor_on_eps(model):
    image = model.sample(1, temperature=0.3, generator=torch.Generator().manual_seed(1))
    full = model.sample(1, temperature=1.0, generator=torch.Generator().manual_seed(1))
    for cool, warm in zip(model.encode(image), model.encode(full), strict=True):
        torch.testing.assert_close(cool, 0.3 * warm, rtol=0, atol=1e-9)


# ---------------------------------------------------------------- precision


def test_nets_in_bfloat16_still_invert_roughly():
    model = random_glow(coupling="affine").float()
    images = torch.rand(2, 3, 8, 8) - 0.5
    with torch.no_grad():
        exact = model.encode(images)
        model.set_net_precision(torch.bfloat16)
        rough = model.encode(images)
        assert not torch.equal(rough[-1], exact[-1])
        torch.testing.assert_close(model.decode(rough), images, rtol=0, atol=2e-2)
        model.set_net_precision(None)
        assert torch.equal(model.encode(images)[-1], exact[-1])


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("shape", [(1, 3, 8, 10), (1, 1, 8, 8), (3, 8, 8), (1, 3, 6, 8)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ShapeError, match=r"expected images \(N, 3, H, W\) with H and W multiples of 4, got \("):
        random_glow().encode(torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize("channels", [[6], [6, 24, 1], [24, 6]])
def test_latents_of_another_model_are_refused(channels):
    with pytest.raises(ShapeError, match=r"one \(N, C, H, W\) tensor per level with channels \[6, 24\], got shapes"):
        random_glow().decode([torch.zeros(1, c, 2, 2) for c in channels])


# ---------------------------------------------------------------- pixels


@pytest.mark.parametrize("bits", range(1, 9))
def test_pixels_survive_the_interval(bits):
    width = pixels.bin_width(bits, quantize=True)
    grey = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    x = pixels.from_pixels(grey, width)
    assert x.shape == (1, 3, 16, 16)
    assert -0.5 < x.min() < x.max() < 0.5
    assert torch.equal(pixels.to_pixels(x, width), grey // width * width)


def test_without_quantisation_a_bin_is_one_grey_level():
    assert pixels.bin_width(5, quantize=False) == 1


def test_pixels_outside_the_interval_are_clipped():
    x = torch.tensor([-9.0, 9.0]).reshape(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert pixels.to_pixels(x)[0, 0, :, 0].tolist() == [0, 255]
