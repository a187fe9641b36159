from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from flowxfer import Transferer
from flowxfer.export import export_bundle
from tests.glow.random_glow import random_glow

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def cache_folder(tmp_path_factory):
    """A cache of the tests' own: what passed its round trip for a user is not taken for tried, nor the other way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWXFER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(params=["F1", "F2"])
def oracle(request):
    """A folder of OpenAI's own results: FLOWXFER_ORACLE/F1 and F2."""
    root = os.environ.get("FLOWXFER_ORACLE")
    if not root:
        pytest.skip("FLOWXFER_ORACLE does not name the folder with OpenAI's results, F1 and F2")
    return Path(root) / request.param


@pytest.fixture
def golden(oracle):
    """The oracle's arrays by name."""
    with np.load(oracle / "oracle.npz") as file:
        return dict(file)


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
