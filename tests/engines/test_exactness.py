"""The law of this library: decode(encode(x)) is x, in every pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowxfer import Transferer
from flowxfer.engines.probes import PROBES, probe
from flowxfer.export import export_bundle
from flowxfer.glow.importers import import_weights
from flowxfer.models import hub
from tests.glow.random_glow import random_glow

TAME = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=["additive-eps", "affine-eps", "additive-raw"])
def small(request, tmp_path_factory):
    """A small random model in the default precision."""
    coupling, latents = request.param.split("-")
    model = random_glow(image_size=16, levels=2, depth=6, width=16, coupling=coupling).float()
    folder = tmp_path_factory.mktemp("small") / "bundle"
    export_bundle(model, folder, name="small", licence="none", origin="a test", latents=latents)
    return Transferer(folder, threads=1)


pictures = st.tuples(st.sampled_from(sorted(PROBES)), st.integers(0, 2**32 - 1))


@TAME
@given(st.lists(pictures, min_size=1, max_size=5))
def test_every_pixel_comes_back(small, drawn):
    images = np.stack([probe(kind, small.size, seed) for kind, seed in drawn])
    np.testing.assert_array_equal(small.decode(small.encode(images)), images)


@TAME
@given(st.lists(pictures, min_size=3, max_size=5))
def test_alpha_zero_is_the_identity(small, drawn):
    images = np.stack([probe(kind, small.size, seed) for kind, seed in drawn])
    np.testing.assert_array_equal(small.transfer(images, images[0], images[1:], alpha=0), images)


@TAME
@given(st.lists(pictures, min_size=2, max_size=11))
def test_a_batch_equals_its_images_one_by_one(small, drawn):
    images = np.stack([probe(kind, small.size, seed) for kind, seed in drawn])
    together = small.encode(images)
    for index, image in enumerate(images):
        for batch, alone in zip(together.levels, small.encode(image).levels, strict=True):
            np.testing.assert_allclose(batch[index], alone[0], rtol=0, atol=1e-5 * max(1, np.abs(alone).max()))


def test_oracle_models_give_every_pixel_back(oracle, tmp_path):
    export_bundle(import_weights(oracle / "graph_unoptimized.pb"), tmp_path / "b", name="o", licence="-", origin="-")
    transferer = Transferer(tmp_path / "b", threads=1)
    for seed in range(60):
        images = np.stack([probe(kind, 32, seed) for kind in PROBES])
        np.testing.assert_array_equal(transferer.decode(transferer.encode(images)), images)


def test_the_bundled_model_gives_every_pixel_back():
    transferer = Transferer(hub.DEFAULT, threads=1)
    for seed in range(20):
        images = np.stack([probe(kind, transferer.size, seed) for kind in PROBES])
        np.testing.assert_array_equal(transferer.decode(transferer.encode(images)), images)
