"""The model against two references: a NumPy implementation of the specification, and OpenAI's own results."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from flowxfer.glow import Glow, pixels
from flowxfer.glow.importers import import_weights
from flowxfer.glow.importers.openai import import_variables
from flowxfer.glow.importers.tensorflow_checkpoint import TensorBundle, find_prefix
from flowxfer.glow.weights import build
from tests import reference


def nchw(arrays, dtype=torch.float32):
    return [torch.from_numpy(np.ascontiguousarray(array)).permute(0, 3, 1, 2).to(dtype) for array in arrays]


def nhwc(tensors):
    return [tensor.detach().permute(0, 2, 3, 1).numpy() for tensor in tensors]


def imported(variables, image_size=8, bits=5) -> Glow:
    return build(*import_variables(variables, image_size=image_size, bits=bits, origin="variables"), origin="variables")


def model_of(oracle) -> Glow:
    config = json.loads((oracle / "info.json").read_text())["config"]
    return import_weights(oracle, image_size=config["image_size"], bits=config["n_bits_x"])


# ---------------------------------------------------------------- the NumPy reference


@pytest.mark.parametrize(
    ("levels", "depth", "coupling", "learned_prior"),
    [(1, 1, "additive", True), (2, 2, "affine", True), (3, 1, "affine", False), (3, 2, "additive", True)],
)
def test_the_model_computes_what_the_specification_says(levels, depth, coupling, learned_prior):
    variables = reference.random_variables(levels, depth, 7, coupling, seed=levels, learned_prior=learned_prior)
    model = imported(variables).double()
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 8, 16, 3))
    expected = reference.encode(variables, x)
    eps = nhwc(model.encode(nchw([x], torch.float64)[0]))
    for ours, theirs in zip(eps, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)
    draws = [np.random.default_rng(1).normal(0, 0.7, z.shape) for z in expected]
    image = nhwc([model.decode(nchw(draws, torch.float64))])[0]
    np.testing.assert_allclose(image, reference.decode(variables, draws), rtol=0, atol=1e-10)


def test_the_reference_inverts_itself():
    variables = reference.random_variables(3, 2, 7, "affine", seed=0)
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 16, 8, 3))
    np.testing.assert_allclose(reference.decode(variables, reference.encode(variables, x)), x, rtol=0, atol=1e-10)


@pytest.mark.parametrize("bits", [5, 8])
def test_pixels_are_those_of_the_specification(bits):
    grey = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    width = pixels.bin_width(bits, quantize=True)
    x = pixels.from_pixels(torch.from_numpy(grey), width, dtype=torch.float64)
    np.testing.assert_allclose(nhwc([x])[0], reference.preprocess(grey, bits), rtol=0, atol=1e-15)
    anything = np.random.default_rng(0).uniform(-0.7, 0.7, (2, 4, 4, 3))
    assert (
        pixels.to_pixels(nchw([anything], torch.float64)[0], width).numpy() == reference.postprocess(anything, bits)
    ).all()


# ---------------------------------------------------------------- OpenAI's results


def test_the_reference_agrees_with_openai(oracle, golden):
    with np.load(oracle / "vars.npz") as file:
        variables = dict(file)
    bits = json.loads((oracle / "info.json").read_text())["config"]["n_bits_x"]
    for tag, noise in (("eps", 0.0), ("eps_half", 0.5)):
        for level, eps in enumerate(reference.encode(variables, reference.preprocess(golden["x"], bits, noise))):
            np.testing.assert_allclose(eps, golden[f"{tag}_{level}"], rtol=0, atol=1e-4)
    x = reference.decode(variables, [golden[f"eps_rand_{level}"] for level in range(3)])
    np.testing.assert_allclose(x, golden["decode_rand_float"], rtol=0, atol=5e-5)
    assert (reference.postprocess(x, bits) == golden["decode_rand_u8"]).all()


def test_encode_agrees_with_openai(oracle, golden):
    model = model_of(oracle)
    width = pixels.bin_width(model.config.bits, quantize=True)
    half = pixels.from_pixels(torch.from_numpy(golden["x"]), width)
    for tag, x in (("eps_half", half), ("eps", half - 0.5 / 2**model.config.bits)):
        for level, eps in enumerate(nhwc(model.encode(x))):
            np.testing.assert_allclose(eps, golden[f"{tag}_{level}"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("eps", "decoded"), [("eps_rand", "decode_rand"), ("eps_half", "decode_half")])
def test_decode_agrees_with_openai(oracle, golden, eps, decoded):
    model = model_of(oracle)
    x = model.decode(nchw([golden[f"{eps}_{level}"] for level in range(3)]))
    np.testing.assert_allclose(nhwc([x])[0], golden[f"{decoded}_float"], rtol=0, atol=5e-5)
    width = pixels.bin_width(model.config.bits, quantize=True)
    assert (pixels.to_pixels(x, width).numpy() == golden[f"{decoded}_u8"]).all()


def test_every_file_of_one_model_gives_the_same_weights(oracle, caplog):
    model = model_of(oracle)
    plain = import_weights(oracle / "graph_unoptimized.pb")
    folded = import_weights(oracle / "graph_unoptimized_folded.pb")
    assert model.config == plain.config == folded.config
    assert not caplog.records
    for name, weight in model.state_dict().items():
        assert torch.equal(plain.state_dict()[name], weight)
        torch.testing.assert_close(folded.state_dict()[name], weight, rtol=0, atol=1e-6)


def test_the_checkpoint_holds_the_variables_that_openai_s_code_had(oracle):
    bundle = TensorBundle(find_prefix(oracle))
    with np.load(oracle / "vars.npz") as file:
        assert set(file) == {name for name in bundle if name.startswith("model/") and not name.endswith("Average")}
        assert all((bundle[name] == file[name]).all() for name in file)


def test_moving_averages_are_other_weights_of_the_same_model(oracle):
    config = model_of(oracle).config
    averages = import_weights(oracle, ema=True, image_size=config.image_size, bits=config.bits)
    assert averages.config == config
    name = "model/1/0/f1/l_2/actnorm_center/b/ExponentialMovingAverage"
    expected = torch.from_numpy(TensorBundle(find_prefix(oracle))[name].flatten().copy())
    assert torch.equal(averages.levels[1][0].coupling.net.conv2.actnorm.bias, expected)
    assert not torch.equal(model_of(oracle).levels[1][0].coupling.net.conv2.actnorm.bias, expected)
