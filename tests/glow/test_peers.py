"""Two PyTorch ports: an imported file computes what the port computes, and what cannot be imported is named."""

from __future__ import annotations

import re

import pytest
import torch

from flowxfer.errors import InputError, WeightsError
from flowxfer.glow import pixels
from flowxfer.glow.importers import import_weights
from tests.glow.peers import Chaiyujin, Rosinality, chaiyujin_state, rosinality_state

LEVELS, DEPTH, WIDTH = 2, 2, 5


@pytest.fixture
def grey():
    return torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8)


def saved(tmp_path, content, **options):
    path = tmp_path / "weights.pt"
    torch.save(content, path, **options)
    return path


def assert_agrees(model, peer, ours, theirs, to_ours):
    """Both encode one picture to the same eps, and decode the same eps to the same picture."""
    model = model.double()
    with torch.no_grad():
        expected = peer.forward(theirs)
        for z, z_peer in zip(model.encode(ours), expected, strict=True):
            torch.testing.assert_close(z, z_peer, rtol=0, atol=1e-5)
        draws = [0.7 * torch.randn_like(z) for z in expected]
        torch.testing.assert_close(model.decode(draws), to_ours(peer.reverse(draws)), rtol=0, atol=1e-5)


# ---------------------------------------------------------------- rosinality/glow-pytorch


@pytest.fixture
def rosinality():
    return rosinality_state(LEVELS, DEPTH, WIDTH, affine=True, lu=True)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize(("lu", "bug"), [(True, False), (False, False), (False, True)])
@pytest.mark.parametrize("bits", [5, 8])
def test_rosinality_agrees(tmp_path, grey, affine, lu, bug, bits):
    state = rosinality_state(LEVELS, DEPTH, WIDTH, affine=affine, lu=lu, no_lu_bug=bug)
    model = import_weights(saved(tmp_path, state), image_size=8, bits=bits)
    assert model.config.lu is lu
    assert model.config.coupling == ("affine" if affine else "additive")
    # Its training: floor(u / 2 ** (8 - bits)) / 2 ** bits - 0.5, and noise, whose middle is half a bin.
    bins = 2**bits
    theirs = (torch.floor(grey.permute(0, 3, 1, 2).double() / 2 ** (8 - bits)) + 0.5) / bins - 0.5
    ours = pixels.from_pixels(grey, pixels.bin_width(bits, quantize=True), dtype=torch.float64)
    assert_agrees(model, Rosinality(state, LEVELS, DEPTH), ours, theirs, lambda x: x)


def test_rosinality_s_dataparallel_names_and_old_files(tmp_path, rosinality):
    prefixed = {f"module.{name}": tensor for name, tensor in rosinality.items()}
    model = import_weights(saved(tmp_path, prefixed), image_size=8, bits=5)
    old = {name: tensor for name, tensor in rosinality.items() if not name.endswith("initialized")}
    path = saved(tmp_path, old, _use_new_zipfile_serialization=False)
    for name, weight in import_weights(path, image_size=8, bits=5).state_dict().items():
        assert torch.equal(model.state_dict()[name], weight)


@pytest.mark.parametrize(("given", "missing"), [({"bits": 5}, "image_size"), ({"image_size": 8}, "bits")])
def test_rosinality_needs_what_it_does_not_save(tmp_path, rosinality, given, missing):
    with pytest.raises(InputError, match=f"does not hold the model's {missing}; pass it"):
        import_weights(saved(tmp_path, rosinality), **given)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("blocks.0.flows.1.actnorm.initialized", torch.tensor(0), "not trained: .*initialized is not set"),
        ("blocks.0.flows.0.actnorm.scale", -torch.ones(1, 12, 1, 1), "not positive: .*scale, which must be"),
        ("blocks.1.flows.0.invconv.u_mask", torch.ones(24, 24), "not understood: .*u_mask is another mask"),
        ("blocks.1.flows.0.invconv.w_l", torch.ones(23, 24), r"wrong shape: .*w_l is \(23, 24\), expected \(24, 24\)"),
        ("blocks.1.prior.conv.bias", torch.ones(48, dtype=torch.int64), r"wrong type: .*bias is torch.int64, expected"),
        ("blocks.1.extra", torch.ones(2), r"not understood: blocks.1.extra \(2,\)"),
        ("blocks.0.flows.0.coupling.net.0.weight", torch.ones(0, 6, 3, 3), "to have a length along axis 0"),
        ("blocks.0.flows.0.coupling.net.0.weight", torch.tensor(1.0), r"to have a length along axis 0, got shape \(\)"),
    ],
)
def test_rosinality_names_what_does_not_fit(tmp_path, rosinality, name, value, message):
    with pytest.raises(WeightsError, match=message):
        import_weights(saved(tmp_path, rosinality | {name: value}), image_size=8, bits=5)


def test_rosinality_lists_all_that_is_missing(tmp_path, rosinality):
    gone = {"blocks.0.flows.0.actnorm.scale", "blocks.1.flows.1.invconv.w_s", "blocks.1.prior.scale"}
    with pytest.raises(WeightsError) as caught:
        import_weights(saved(tmp_path, {k: v for k, v in rosinality.items() if k not in gone}), image_size=8, bits=5)
    assert set(re.findall(r"missing: (\S+)", str(caught.value))) == gone


# ---------------------------------------------------------------- chaiyujin/glow-pytorch


@pytest.fixture
def chaiyujin():
    return chaiyujin_state(LEVELS, DEPTH, WIDTH, affine=True, lu=False, learn_top=True)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("lu", [False, True])
@pytest.mark.parametrize("learn_top", [False, True])
def test_chaiyujin_agrees(tmp_path, grey, affine, lu, learn_top):
    state = chaiyujin_state(LEVELS, DEPTH, WIDTH, affine=affine, lu=lu, learn_top=learn_top)
    model = import_weights(saved(tmp_path, {"graph": state, "optim": {"state": {}}, "global_step": 7}))
    assert model.config.image_size == 8
    assert model.config.bits == 8
    assert model.config.lu is lu
    assert model.config.learned_prior is learn_top
    # It sees u / 255 where a Glow here sees (u + 0.5) / 256 - 0.5.
    theirs = grey.permute(0, 3, 1, 2).double() / 255
    ours = pixels.from_pixels(grey, dtype=torch.float64)
    assert_agrees(model, Chaiyujin(state, LEVELS, DEPTH), ours, theirs, lambda x: (x * 255 + 0.5) / 256 - 0.5)


def test_chaiyujin_s_image_size_and_bits_can_be_said(tmp_path, chaiyujin):
    config = import_weights(saved(tmp_path, chaiyujin), image_size=16, bits=5).config
    assert (config.image_size, config.bits) == (16, 5)


def test_chaiyujin_without_a_square_must_be_told_the_size(tmp_path, chaiyujin):
    path = saved(tmp_path, chaiyujin | {"prior_h": torch.zeros(2, 48, 2, 4)})
    with pytest.raises(InputError, match="does not hold the model's image_size"):
        import_weights(path)
    assert import_weights(path, image_size=8).config.image_size == 8


def test_chaiyujin_s_fixed_permutations_are_refused(tmp_path, chaiyujin):
    """Its shuffles are NumPy arrays outside the state dict: neither the order nor the kind is saved."""
    without = {name: tensor for name, tensor in chaiyujin.items() if "invconv" not in name}
    with pytest.raises(WeightsError, match='files of "shuffle" and "reverse" do not hold the order of the channels'):
        import_weights(saved(tmp_path, without))


def test_chaiyujin_s_class_conditioning_is_refused(tmp_path, chaiyujin):
    more = {"project_ycond.weight": torch.zeros(48, 40), "project_class.bias": torch.zeros(40)}
    with pytest.raises(WeightsError, match=r"class conditioning.*: project_class.bias, project_ycond.weight$"):
        import_weights(saved(tmp_path, chaiyujin | more))


def test_chaiyujin_s_prior_is_zero(tmp_path, chaiyujin):
    with pytest.raises(WeightsError, match="not understood: prior_h, which should be zero"):
        import_weights(saved(tmp_path, chaiyujin | {"prior_h": torch.ones(2, 48, 2, 2)}))


def test_chaiyujin_s_weights_are_floating_point(tmp_path, chaiyujin):
    with pytest.raises(WeightsError, match=r"wrong type: prior_h is torch.int32, expected floating point numbers"):
        import_weights(saved(tmp_path, chaiyujin | {"prior_h": torch.zeros(2, 48, 2, 2, dtype=torch.int32)}))


def test_chaiyujin_without_its_prior_is_refused(tmp_path, chaiyujin):
    del chaiyujin["prior_h"]
    with pytest.raises(WeightsError, match=r"expected prior_h in .*, but it is not there"):
        import_weights(saved(tmp_path, chaiyujin))
