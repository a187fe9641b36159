"""The page in a browser: choose, move the slider, see the picture change, download, upload; wide and narrow windows."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from flowxfer import Latents, images
from flowxfer.app import Studio
from flowxfer.provenance import read
from flowxfer.video import Progress

playwright = pytest.importorskip("playwright.sync_api")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium"),
    # Gradio's own, in its statistics of the queue.
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated", "ignore:The copy keyword is"),
]
SIZE = 32


@pytest.fixture(scope="module")
def address(tiny_transferer):
    from flowxfer.app import serving

    with serving(tiny_transferer, port=None, max_upload_bytes=1 << 20) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser, address, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.requested = []
    page.on("request", lambda request: page.requested.append(request.url))
    page.goto(address)
    page.wait_for_selector("#result img")
    return page


@pytest.fixture(scope="module")
def page(browser, address):
    """A wide window, which the tests share; every request of it is noted."""
    page = opened(browser, address, 1280)
    yield page
    page.close()


@pytest.fixture(autouse=True)
def first_tab(page):
    """Begin on the tab of transfers, with the first target and no message left over."""
    page.get_by_role("tab", name="Transfer").click()
    for message in page.locator(".toast-close").all():
        message.click()
    thumbnail = page.locator(".target-faces").first.locator("button.thumbnail-item").first
    if "selected" not in thumbnail.get_attribute("class"):
        change(page, thumbnail.click)


def change(page, action, selector="#result img"):
    """Do something and wait until the picture is another; return where the new one is."""
    before = source(page, selector)
    action()
    page.wait_for_function(
        "([s, before]) => ![undefined, null, before].includes(document.querySelector(s)?.getAttribute('src'))",
        arg=[selector, before],
    )
    return source(page, selector)


def source(page, selector):
    picture = page.query_selector(selector)
    return picture and picture.get_attribute("src")


def set_alpha(page, value):
    field = page.locator("#alpha input[type=number]")
    if float(field.input_value()) != value:
        change(page, lambda: field.fill(str(value)))
    return source(page, "#result img")


def downloaded(page, button, path):
    with page.expect_download() as waiting:
        page.locator(button).click()
    waiting.value.save_as(path)
    return path


def uploaded(page, role, path):
    with page.expect_file_chooser() as waiting:
        page.locator(f".picker:has(.{role}-faces) button", has_text="Upload").first.click()
    waiting.value.set_files(path)


def test_nothing_comes_from_elsewhere(page, address):
    page.wait_for_timeout(500)
    elsewhere = {urlsplit(url).netloc for url in page.requested if not url.startswith(("data:", "blob:"))}
    assert elsewhere == {urlsplit(address).netloc}


def test_the_slider_changes_the_picture_and_downloads_are_what_is_shown(page, tmp_path, tiny_transferer):
    from flowxfer.app.faces import demo

    people = demo(SIZE)
    target, expression, neutral = (people[role][0].face for role in ("target", "expression", "neutral"))
    for alpha in (0.0, 0.4):
        set_alpha(page, alpha)
        page.wait_for_timeout(300)
        face = downloaded(page, "#download-picture", tmp_path / "face.png")
        expected = tiny_transferer.transfer(target, expression, neutral, alpha)[0]
        assert np.array_equal(images.load(face), expected)
        assert read(face).synthetic
        latents = downloaded(page, "#download-latents", tmp_path / "z.safetensors")
        assert np.array_equal(tiny_transferer.decode(Latents.load(latents))[0], expected)
    assert np.array_equal(tiny_transferer.transfer(target, expression, neutral, 0.0)[0], target)


def test_the_slider_moves_by_keys(page):
    set_alpha(page, 0.8)
    slider = page.locator("#alpha input[type=range]")
    slider.focus()
    assert change(page, lambda: slider.press("ArrowRight"))
    assert page.locator("#alpha input[type=number]").input_value() == "0.81"


def test_another_target_and_another_expression(page):
    pictures = {source(page, "#result img")}
    for role, index in (("target", 1), ("expression", 2)):
        thumbnail = page.locator(f".{role}-faces").first.locator("button.thumbnail-item").nth(index)
        pictures.add(change(page, thumbnail.click))
    assert len(pictures) == 3


def test_an_uploaded_picture_is_chosen(page, tmp_path):
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    images.save(np.stack([3 * x, 3 * y, 2 * x + 2 * y], axis=2).astype(np.uint8), tmp_path / "me.png")
    change(page, lambda: uploaded(page, "target", tmp_path / "me.png"))
    assert page.locator(".target-faces").first.locator(".caption-label").all_inner_texts()[-1] == "me.png"
    set_alpha(page, 0)
    page.wait_for_timeout(300)
    face = downloaded(page, "#download-picture", tmp_path / "face.png")
    assert np.array_equal(images.load(face), images.load(tmp_path / "me.png"))


def test_a_broken_file_is_a_sentence_and_the_page_goes_on(page, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    uploaded(page, "target", tmp_path / "broken.png")
    message = page.locator(".toast-body").first
    message.wait_for()
    assert "expected a picture (PNG, JPEG, WebP, …) in broken.png, got something else" in message.inner_text()
    before = source(page, "#result img")
    assert set_alpha(page, 0.3) != before


def test_a_file_that_is_too_large_is_a_sentence(page, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    uploaded(page, "target", tmp_path / "large.png")
    message = page.locator(".toast-body").first
    message.wait_for()
    assert "size" in message.inner_text().lower()


def test_a_strip(page, tmp_path):
    page.get_by_text("Sweep: many strengths side by side").click()
    page.locator("#make-strip").click()
    page.wait_for_selector("#strip img")
    page.wait_for_timeout(300)
    with Image.open(downloaded(page, "#download-strip", tmp_path / "strip.png")) as strip:
        assert strip.width > 6 * 128


def test_mix_and_sample(page):
    page.get_by_role("tab", name="Mix").click()
    page.wait_for_selector("#mixed img")
    assert change(page, lambda: page.locator("#mix-alpha input[type=number]").fill("0.9"), "#mixed img")
    page.get_by_role("tab", name="Sample").click()
    assert change(page, page.get_by_role("button", name="Draw faces").click, "#sheet img")


def test_sessions_do_not_trample_each_other(page, browser, address):
    first, second = page, opened(browser, address, 1280)
    shown = set_alpha(first, 0.2)
    set_alpha(second, 0.9)
    change(second, second.locator(".target-faces").first.locator("button.thumbnail-item").nth(2).click)
    assert source(first, "#result img") == shown
    assert first.locator("#alpha input[type=number]").input_value() == "0.2"
    second.close()


def test_a_photograph_is_pasted_back(page, photo):
    change(page, lambda: uploaded(page, "target", photo))
    page.locator("#put-back").click()
    page.wait_for_selector("#photograph img")


def test_a_film_shows_its_progress_and_can_be_cancelled(page, monkeypatch):
    began = threading.Event()

    def film(self, source, expression, neutral, alpha, progress):
        for done in itertools.count(1):
            progress(Progress(done, 1000, 25.0, None))
            began.set()
            time.sleep(0.01)

    monkeypatch.setattr(Studio, "film", film)
    page.get_by_role("tab", name="Film").click()
    page.locator("#make-film").click()
    message = page.locator(".toast-body").first
    message.wait_for()
    assert "expected a film, got none; upload one first" in message.inner_text()
    with page.expect_file_chooser() as waiting:
        page.locator("#film button").first.click()
    waiting.value.set_files(Path(str(resources.files("flowxfer") / "data" / "film" / "person.mp4")))
    page.wait_for_selector("#film video")
    page.locator("#make-film").click()
    assert began.wait(30)
    page.get_by_text("25 frames a second").first.wait_for()
    page.locator("#cancel-film").click()
    page.get_by_text("Cancelled.").wait_for()


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_sticks_out_of_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    for tab in ("Transfer", "Mix", "Sample", "Film"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("tab", name="Transfer").click()
    if width == 390:  # the picture and its slider are in sight at once
        assert page.locator("#alpha").bounding_box()["y"] < 900
