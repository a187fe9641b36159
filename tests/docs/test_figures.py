"""The pictures in the documentation are what the library draws with the bundled model."""

from __future__ import annotations

import importlib.util
import re

import pytest
from PIL import Image

from flowxfer import Transferer, provenance
from tests.docs.pages import PAGES


@pytest.fixture(scope="module")
def figures():
    spec = importlib.util.spec_from_file_location("figures", PAGES / "figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_they_are_drawn_again_as_they_are(figures, tmp_path):
    """`python docs/figures.py` after every change of the bundled model."""
    figures.main(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {path.name for path in (PAGES / "figures").iterdir()}
    model_hash = Transferer().manifest.model_hash
    for name in names:
        found = provenance.read(PAGES / "figures" / name)
        assert found.synthetic
        assert found.model_hash == model_hash, (
            f"{name} was drawn by another model; python docs/figures.py draws it again"
        )
        with Image.open(tmp_path / name) as new, Image.open(PAGES / "figures" / name) as committed:
            assert new.size == committed.size


def test_each_is_on_a_page(figures):
    pages = "".join(path.read_text("utf-8") for path in PAGES.rglob("*.md"))
    assert set(re.findall(r"figures/(\w+)\.png", pages)) == set(figures.FIGURES)
