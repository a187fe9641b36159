from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


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
