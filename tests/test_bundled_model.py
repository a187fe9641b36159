"""The model and the pictures that come with flowxfer."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from flowxfer import Transferer, hub
from flowxfer.images import load_faces

FACES = Path(str(resources.files("flowxfer") / "data" / "faces"))


@pytest.fixture(scope="module")
def transferer():
    return Transferer(threads=1)


def test_it_is_bundled(transferer):
    assert hub.list_models()[hub.DEFAULT] == "bundled"
    assert transferer.manifest.name == hub.DEFAULT
    assert transferer.manifest.parity["round_trip_wrong"] == 0
    assert sum(file.stat().st_size for file in hub.resolve().iterdir()) < 20 * 2**20


def test_every_demo_picture_comes_back(transferer):
    folders = sorted({path.parent for path in FACES.rglob("*.png")})
    assert len(folders) == 11
    for folder in folders:
        faces = load_faces(folder, transferer.size, resize=True)
        np.testing.assert_array_equal(transferer.decode(transferer.encode(faces)), faces)
