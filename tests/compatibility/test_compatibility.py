"""Before the modules had rooms: files that commit 21b5163 wrote are read, and the public names of that day are there.

``make.py`` wrote the files, with that commit's code.
"""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from flowxfer import Latents, Transferer
from flowxfer.bundle import Bundle
from flowxfer.directions import Attributes
from tests.compatibility.make import FRAMES, faces, film

HERE = Path(__file__).parent
WRITTEN = HERE / "written"
NAMES = json.loads((HERE / "names.json").read_text())
MODEL_HASH = json.loads((HERE / "model_hash.json").read_text())


@pytest.fixture(scope="module")
def flow():
    return Transferer(WRITTEN / "bundle", threads=1)


def test_a_bundle_is_opened_and_has_its_hash():
    assert Bundle.open(WRITTEN / "bundle").manifest.model_hash == MODEL_HASH["old"]


def test_the_bundled_models_have_their_hashes():
    """Saved latents hang on them."""
    for name in ("synthetic-64", "synthetic-64-samples"):
        assert Transferer(name, threads=1).manifest.model_hash == MODEL_HASH[name]


def test_latents_give_every_pixel_back(flow):
    latents = Latents.load(WRITTEN / "latents.safetensors")
    decoded = flow.decode(latents)
    assert (decoded == np.load(WRITTEN / "decoded.npy")).all()
    assert (decoded == faces(flow.size)).all()


def test_attribute_vectors_are_read(flow):
    attributes = Attributes.load(WRITTEN / "attributes.safetensors", flow.manifest)
    latents = Latents.load(WRITTEN / "latents.safetensors")
    assert list(attributes) == ["Smiling"]
    for level, one in zip(attributes["Smiling"].levels, (latents[0] - latents[1]).levels, strict=True):
        assert np.allclose(level, one)


def test_an_unfinished_film_goes_on(flow, tmp_path):
    shutil.copytree(WRITTEN / ".film.partial", tmp_path / ".film.partial")
    safe = sorted((WRITTEN / ".film.partial" / "pictures").iterdir())[:2]
    seen = []
    film(flow, tmp_path, Latents.load(WRITTEN / "latents.safetensors"), resume=True, progress=seen.append)
    finished = sorted((tmp_path / "film").iterdir())
    assert len(finished) == FRAMES
    assert seen[0].done == len(safe) + 1
    assert [path.read_bytes() for path in finished[:2]] == [path.read_bytes() for path in safe]


@pytest.mark.parametrize("module", NAMES)
def test_public_names_are_where_they_were(module):
    found = importlib.import_module(module)
    assert [name for name in NAMES[module] if not hasattr(found, name)] == []
