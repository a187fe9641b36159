"""Peers with our weights compute our numbers; the others are at least invertible."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from flowxfer.benchmarks.contestants import ABLATION, CONTESTANTS, DEFAULT, chosen
from flowxfer.benchmarks.models import ALPHA
from flowxfer.benchmarks.peers.eager import EagerGlow, FixedConv1x1
from flowxfer.benchmarks.peers.folded import ConcatStep, FoldedGlow
from flowxfer.engines.probes import probes
from flowxfer.errors import InputError, MissingExtraError
from flowxfer.glow.pixels import from_pixels
from tests.glow.random_glow import random_glow

PEERS = {
    "eager": lambda glow, kind: EagerGlow(glow, kind).double(),
    "eager, inverses fixed": lambda glow, kind: EagerGlow(glow, kind, FixedConv1x1).double(),
    "folded": FoldedGlow,
    "folded, edges concatenated": lambda glow, kind: FoldedGlow(glow, kind, ConcatStep),
}
ARCHITECTURES = [{"coupling": "additive"}, {"coupling": "affine", "lu": True, "levels": 3, "depth": 1}]


@pytest.mark.parametrize("fields", ARCHITECTURES, ids=["additive", "affine"])
@pytest.mark.parametrize("kind", ["eps", "raw"])
@pytest.mark.parametrize("peer", PEERS)
def test_pytorch_peers_are_glow(peer, kind, fields):
    glow = random_glow(**fields)
    flow = PEERS[peer](glow, kind)
    dtype = next(flow.parameters()).dtype
    tolerance = 1e-10 if dtype == torch.float64 else 2e-5  # the folded weights are float32
    images = from_pixels(torch.from_numpy(probes(8)), dtype=torch.float64)
    with torch.no_grad():
        expected = glow.encode(images, kind)
        latents = flow.encode(images.to(dtype))
        for z, reference in zip(latents, expected, strict=True):
            torch.testing.assert_close(z.double(), reference, rtol=tolerance, atol=tolerance)
        edited = [1.1 * z for z in expected]
        decoded = flow.decode([z.to(dtype) for z in edited])
        torch.testing.assert_close(decoded.double(), glow.decode(edited, kind), rtol=tolerance, atol=tolerance)


TOLERANCES = {"flowxfer-bf16": 2**-6}  # a number in bfloat16 is known to 2**-9 of itself, and a net adds up many
RUNNABLE = [name for name in CONTESTANTS if name != "compiled"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", RUNNABLE)
def test_every_contestant_does_every_case(name, tiny_model):
    """All but torch.compile, whose compiler takes half a minute; its module is held to Glow above."""
    if missing := [package for package in CONTESTANTS[name].packages if find_spec(package) is None]:
        pytest.skip(f"{', '.join(missing)} of the extra bench is not installed")
    runner_class = CONTESTANTS[name].load()
    runner_class.prepare(tiny_model)
    runner, reference = runner_class(tiny_model, 1), tiny_model.reference()
    images = reference["images"]
    latents = runner.encode(images)
    np.testing.assert_array_equal(runner.decode(latents), images)
    neutral, expression = runner.encode(images[:1]), runner.encode(images[1:])
    direction = runner.direction(expression, neutral)
    edited = runner.edit(neutral, direction, [ALPHA])
    np.testing.assert_array_equal(runner.transfer(images, direction)[:1], edited)
    np.testing.assert_array_equal(runner.film(images, direction)[:1], edited)
    swept = runner.sweep(images[:1], direction, [0.0, ALPHA, 1.0])
    np.testing.assert_array_equal(swept[[0, 2]], images)
    assert np.abs(swept[1].astype(int) - edited[0]).max() <= 1
    if CONTESTANTS[name].same_weights:
        for level, z in enumerate(runner.levels(latents)):
            np.testing.assert_allclose(z, reference[f"z{level}"], atol=TOLERANCES.get(name, 1e-4))
        assert np.abs(edited.astype(int) - reference["edited"]).max() <= 1


def test_every_contestant_is_in_one_list():
    assert sorted([*DEFAULT, *ABLATION]) == sorted(CONTESTANTS)


def test_an_unknown_contestant_is_refused():
    with pytest.raises(InputError, match="expected contestants of flowxfer, .*got nobody"):
        chosen(["eager", "nobody"])


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr("flowxfer.benchmarks.contestants.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"the contestant openvino needs openvino.*flowxfer\[bench\]"):
        chosen(["openvino"])
