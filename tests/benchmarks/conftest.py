from __future__ import annotations

import pytest

from flowxfer.benchmarks.models import make


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The benchmark's own small model, made as the large ones are."""
    return make("tiny-32", tmp_path_factory.mktemp("benchmark"))
