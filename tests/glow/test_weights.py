"""Configurations and weight files: what is kept, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from flowxfer.errors import InputError, WeightsError
from flowxfer.glow import Glow, GlowConfig, load, save
from flowxfer.glow.weights import CONFIG_KEY, build
from tests.glow.random_glow import random_glow

SMALL = {"image_size": 8, "levels": 2, "depth": 1, "width": 6}


# ---------------------------------------------------------------- configurations


@pytest.mark.parametrize("field", ["image_size", "levels", "depth", "width"])
def test_sizes_are_at_least_1(field):
    with pytest.raises(InputError, match=f"expected {field} of at least 1, got 0"):
        GlowConfig(**{field: 0})


@pytest.mark.parametrize(("image_size", "levels"), [(36, 3), (4, 3), (64, 10**9)])
def test_levels_halve_the_image(image_size, levels):
    with pytest.raises(InputError, match=rf"a multiple of 2\*\*{levels}, got {image_size}"):
        GlowConfig(image_size=image_size, levels=levels)


def test_an_image_may_be_halved_to_one_pixel():
    assert GlowConfig(image_size=64, levels=6).latent_shapes()[-1] == (384, 1, 1)


def test_a_coupling_is_additive_or_affine():
    with pytest.raises(InputError, match='expected coupling "additive" or "affine", got \'none\''):
        GlowConfig(coupling="none")


@pytest.mark.parametrize("bits", [0, 9])
def test_a_colour_has_1_to_8_bits(bits):
    with pytest.raises(InputError, match=f"expected bits from 1 to 8, got {bits}"):
        GlowConfig(bits=bits)


def test_a_configuration_survives_json():
    config = GlowConfig(image_size=32, coupling="affine", bits=5, lu=True, learned_prior=False)
    assert GlowConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_configuration_refuses_unknown_fields_and_types():
    with pytest.raises(InputError, match="got also colour"):
        GlowConfig.from_dict({"colour": "blue"})
    with pytest.raises(InputError, match=r"expected depth to be a int, got 2\.5"):
        GlowConfig.from_dict({"depth": 2.5})
    with pytest.raises(InputError, match="expected depth to be a int, got True"):
        GlowConfig.from_dict({"depth": True})


def test_openai_s_largest_latents_are_those_of_its_demo():
    shapes = GlowConfig(image_size=256, levels=6).latent_shapes()
    assert [(h, w, c) for c, h, w in shapes] == [
        (128, 128, 6), (64, 64, 12), (32, 32, 24), (16, 16, 48), (8, 8, 96), (4, 4, 384)
    ]  # fmt: skip


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("fields", [{"lu": True, "coupling": "affine"}, {"learned_prior": False, "bits": 5}])
def test_a_saved_model_computes_the_same(tmp_path, fields):
    model = random_glow(**fields).float()
    save(model, tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert loaded.config == model.config
    assert not loaded.training
    image = torch.rand(1, 3, 8, 8) - 0.5
    assert torch.equal(loaded.log_prob(image), model.log_prob(image))
    assert loaded.prior.bias.requires_grad is model.config.learned_prior


def test_a_built_model_keeps_its_own_copy():
    state = random_glow(**SMALL).float().state_dict()
    model = build(GlowConfig(**SMALL), state, origin="here")
    state["prior.bias"].fill_(7)
    assert not (model.prior.bias == 7).any()


def test_build_lists_everything_that_does_not_fit():
    state = random_glow(**SMALL).float().state_dict()
    del state["prior.bias"]
    state["prior.colour"] = torch.zeros(2)
    state["prior.logs"] = torch.zeros(5)
    with pytest.raises(WeightsError) as caught:
        build(GlowConfig(**SMALL), state, origin="here")
    assert str(caught.value).splitlines()[1:] == [
        "  missing: prior.bias (48,)",
        "  unexpected: prior.colour (2,)",
        "  wrong shape: prior.logs is (5,), expected (48,)",
    ]


@pytest.mark.parametrize("field", ["width", "depth"])
def test_a_huge_configuration_takes_no_memory(tmp_path, field):
    save_with_config(tmp_path / "huge.safetensors", SMALL | {field: 10**7})
    with pytest.raises(WeightsError, match=r"huge.safetensors does not fit"):
        load(tmp_path / "huge.safetensors")


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    (tmp_path / "text").write_text("hello, this is not a model")
    with pytest.raises(WeightsError, match=r"expected a safetensors file at .*text, but it cannot be read"):
        load(tmp_path / "text")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"expected a safetensors file at .*nothing, but it cannot be read"):
        load(tmp_path / "nothing")


def test_a_truncated_file_is_refused(tmp_path):
    save(random_glow(**SMALL).float(), tmp_path / "whole")
    (tmp_path / "part").write_bytes((tmp_path / "whole").read_bytes()[:-100])
    with pytest.raises(WeightsError, match="cannot be read"):
        load(tmp_path / "part")


def test_a_file_of_another_program_is_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other")
    with pytest.raises(WeightsError, match=r"expected 'flowxfer.config' in the header .*save\(\) writes it"):
        load(tmp_path / "other")


@pytest.mark.parametrize("config", ["{", "[1]", '{"depth": "two"}', '{"levels": 99}'])
def test_a_damaged_configuration_is_refused(tmp_path, config):
    save_file({"weight": torch.zeros(2)}, tmp_path / "damaged", metadata={CONFIG_KEY: config})
    with pytest.raises(WeightsError, match="expected a Glow configuration in the header of"):
        load(tmp_path / "damaged")


def save_with_config(path, config):
    state = {name: tensor.contiguous() for name, tensor in Glow(GlowConfig(**SMALL)).state_dict().items()}
    save_file(state, path, metadata={CONFIG_KEY: json.dumps(GlowConfig(**config).to_dict())})
