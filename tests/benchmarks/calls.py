"""The library's own cases: one call each, on the bundled model and the default provider."""

from __future__ import annotations

import numpy as np
import pytest

from flowxfer import Transferer
from flowxfer.engines.probes import probe

BATCHES = [1, 8]


@pytest.fixture(scope="module")
def transferer():
    return Transferer()


@pytest.fixture(scope="module")
def faces(transferer):
    return np.stack([probe("photograph", transferer.size, seed) for seed in range(max(BATCHES))])


@pytest.mark.parametrize("batch", BATCHES)
def test_encode(benchmark, transferer, faces, batch):
    benchmark(transferer.encode, faces[:batch])


@pytest.mark.parametrize("batch", BATCHES)
def test_decode(benchmark, transferer, faces, batch):
    images = benchmark(transferer.decode, transferer.encode(faces[:batch]))
    np.testing.assert_array_equal(images, faces[:batch])


@pytest.mark.parametrize("batch", BATCHES)
def test_transfer(benchmark, transferer, faces, batch):
    """Encode the targets, add an expression that was encoded before, decode."""
    expression, neutral = transferer.encode(faces[:1]), transferer.encode(faces[1:2])
    images = benchmark(transferer.transfer, faces[:batch], expression, neutral, 0.0)
    np.testing.assert_array_equal(images, faces[:batch])


def test_sweep_of_eleven(benchmark, transferer, faces):
    images = benchmark(transferer.sweep, faces[0], faces[1], faces[2])
    assert len(images) == 11
