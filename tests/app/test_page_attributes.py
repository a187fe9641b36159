"""The tab of attributes in a browser."""

from __future__ import annotations

import numpy as np
import pytest

from flowxfer import Latents, images
from flowxfer.directions import Attributes
from tests.app.pages import MARKS, SIZE, change, downloaded, eventually, opened, settled, tab

pytestmark = MARKS
SHOWN = "#changed img"


@pytest.fixture(scope="module")
def attributes(tiny_transferer):
    rng = np.random.default_rng(0)
    names = ["Smiling", "Eyes_Closed", "Male"]
    levels = [0.3 * rng.normal(size=(len(names), *shape)) for shape in tiny_transferer.manifest.latent_shapes]
    return Attributes(names, Latents(levels, tiny_transferer.manifest.model_hash))


@pytest.fixture(scope="module")
def address(tiny_transferer, attributes):
    from flowxfer.app import serving

    with serving(tiny_transferer, port=None, attributes=attributes) as address:
        yield address


@pytest.fixture
def face():
    from flowxfer.app.faces import demo

    return [picture.face for picture in demo(SIZE)["target"]]


def set_slider(page, name, value):
    change(page, lambda: page.get_by_label(f"number input for {name}").fill(str(value)), SHOWN)


def is_offered(page, path, expected):
    def same():
        settled(page)
        return np.array_equal(images.load(downloaded(page, "#changed-picture", path)), expected)

    eventually(page, same)


def test_sliders_move_a_face_and_go_back(page, attributes, tiny_transferer, face, tmp_path):
    tab(page, "Attributes")
    page.wait_for_selector(SHOWN)
    is_offered(page, tmp_path / "0.png", face[0])
    set_slider(page, "Eyes Closed", 0.7)
    is_offered(page, tmp_path / "1.png", tiny_transferer.manipulate(face[0], attributes["Eyes_Closed"], 0.7)[0])
    set_slider(page, "Smiling", -0.5)
    mixed = attributes.mixed({"Smiling": -0.5, "Eyes_Closed": 0.7})
    is_offered(page, tmp_path / "2.png", tiny_transferer.manipulate(face[0], mixed)[0])
    page.locator(".target-faces:visible button.thumbnail-item").nth(2).click()
    is_offered(page, tmp_path / "3.png", tiny_transferer.manipulate(face[2], mixed)[0])
    change(page, page.get_by_text("All back to 0").click, SHOWN)
    is_offered(page, tmp_path / "4.png", face[2])
    latents = Latents.load(downloaded(page, "#changed-latents", tmp_path / "z.safetensors"))
    assert np.array_equal(tiny_transferer.decode(latents)[0], face[2])


def test_sliders_fit_a_phone(browser, address):
    narrow = opened(browser, address, 390)
    narrow.set_viewport_size({"width": 1280, "height": 900})  # where all tabs are in sight
    tab(narrow, "Attributes")
    narrow.wait_for_selector(SHOWN)
    narrow.set_viewport_size({"width": 390, "height": 900})
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("Smiling", "Eyes Closed", "Male"):
        box = narrow.get_by_label(f"number input for {name}").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    narrow.close()


def test_a_model_without_vectors_has_no_such_tab(browser, tiny_transferer):
    from flowxfer.app import serving

    with serving(tiny_transferer, port=None) as address:
        page = opened(browser, address, 1280)
        assert page.get_by_role("tab", name="Mix", exact=True).count() == 1
        assert page.get_by_role("tab", name="Attributes", exact=True).count() == 0
        page.close()
