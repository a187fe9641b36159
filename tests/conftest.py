from __future__ import annotations

import pytest

from flowxfer import Transferer
from flowxfer.export import export_bundle
from tests.glow.conftest import golden, oracle, seed
from tests.glow.random_glow import random_glow

__all__ = ["golden", "oracle", "seed"]


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """A bundle of a small random model with 32 px faces and eps latents."""
    model = random_glow(image_size=32, levels=3, depth=2, width=16).float()
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    export_bundle(model, folder, name="tiny", licence="none", origin="a test")
    return folder


@pytest.fixture(scope="session")
def tiny_transferer(tiny_bundle):
    return Transferer(tiny_bundle, threads=1)
