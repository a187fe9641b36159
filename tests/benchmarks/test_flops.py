"""Operations are counted right: by hand, from the architecture, and from the graphs."""

from __future__ import annotations

import pytest

from flowxfer.benchmarks.flops import architecture_flops, graph_flops
from flowxfer.bundle import DECODE, ENCODE
from flowxfer.export import export_bundle
from flowxfer.glow import GlowConfig
from tests.glow.random_glow import random_glow


def test_by_hand():
    """Two levels of one step; 4x4 pixels of 12 channels, then 2x2 of 24."""
    config = GlowConfig(image_size=8, levels=2, depth=1, width=10, coupling="additive")
    first = 16 * (12 * 12 + 9 * 6 * 10 + 10 * 10 + 9 * 10 * 6)
    second = 4 * (24 * 24 + 9 * 12 * 10 + 10 * 10 + 9 * 10 * 12)
    prior = 16 * 9 * 6 * 12
    assert architecture_flops(config) == 2 * (first + second)
    assert architecture_flops(config, priors=True) == 2 * (first + second + prior)


def test_the_published_recipe():
    """The figure that the design took: 481 GFLOP an image and direction."""
    recipe = GlowConfig(image_size=256, levels=6, depth=32, width=512, coupling="additive", bits=5)
    assert round(architecture_flops(recipe) / 1e9) == 481


@pytest.mark.parametrize("coupling", ["additive", "affine"])
@pytest.mark.parametrize("precision", ["fp32", "exact-fp32"])
@pytest.mark.parametrize("kind", ["eps", "raw"])
def test_graphs_have_the_architectures_products_and_no_others(tmp_path, coupling, precision, kind):
    """Where a level begins, four ones come out of the squeeze in place of one, and at the image there is one."""
    model = random_glow(coupling=coupling, levels=3, image_size=16, depth=2, width=20).float()
    export_bundle(model, tmp_path / "b", name="b", licence="", origin="", latents=kind, precision=precision)
    config = model.config
    expected = architecture_flops(config, ones=1, priors=kind == "eps")
    entries = [(config.image_size >> (level + 1)) ** 2 * (c + 1) * 3 for level, c in enumerate(config.level_channels)]
    squeezed = 2 * sum(entries[1:])
    assert graph_flops(tmp_path / "b" / ENCODE) == expected + squeezed
    image = 2 * (config.image_size // 2) ** 2 * 13  # the last product of decoding makes no ones
    assert graph_flops(tmp_path / "b" / DECODE) == expected + squeezed - image
