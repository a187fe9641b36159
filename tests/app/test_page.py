"""The page in a browser: choose, move the slider, see the picture change, download, upload; wide and narrow windows.

Nothing here waits for a fixed time: on a busy machine a page takes long, and on a free one nobody should wait.
"""

from __future__ import annotations

import itertools
import re
import shutil
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from flowxfer import Latents, images
from flowxfer.app import Studio
from flowxfer.provenance import read
from flowxfer.video import Progress

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium"),
    # Gradio's own, in its statistics of the queue.
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated", "ignore:The copy keyword is"),
]
SIZE = 32
PATIENCE_S = 120


@pytest.fixture(scope="module")
def address(tiny_transferer):
    from flowxfer.app import serving

    with serving(tiny_transferer, port=None, max_upload_bytes=1 << 20) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        # Containers often have little shared memory, and no right to a sandbox of its own.
        browser = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


def opened(browser, address, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(1000 * PATIENCE_S)
    page.requested = []
    page.on("request", lambda request: page.requested.append(request.url))
    page.streams = set()  # of answers
    page.on("request", lambda request: page.streams.add(request) if "/queue/data" in request.url else None)
    for end in ("requestfinished", "requestfailed"):
        page.on(end, lambda request: page.streams.discard(request))
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
    settled(page)
    tab(page, "Transfer")
    page.evaluate("document.querySelectorAll('.toast-close').forEach(button => button.click())")
    page.wait_for_function("document.querySelector('.toast-body') === null")
    thumbnail = page.locator(".target-faces").first.locator("button.thumbnail-item").first
    if "selected" not in thumbnail.get_attribute("class"):
        change(page, thumbnail.click)


def tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


def eventually(page, condition):
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        page.wait_for_timeout(50)


def settled(page):
    """Wait until all has been answered: what is asked for just when Gradio ends its stream of answers can get none."""
    eventually(page, lambda: not page.streams)


def change(page, action, selector="#result img"):
    """Do something and wait until the picture is another; return where the new one is."""
    before = source(page, selector)
    action()
    page.wait_for_function(
        "([s, before]) => ![undefined, null, before].includes(document.querySelector(s)?.getAttribute('src'))",
        arg=[selector, before],
    )
    settled(page)
    return source(page, selector)


def source(page, selector):
    picture = page.query_selector(selector)
    return picture and picture.get_attribute("src")


def set_alpha(page, value):
    field = page.locator("#alpha input[type=number]")
    if field.input_value() != str(value):
        change(page, lambda: field.fill(str(value)))
    return source(page, "#result img")


def downloaded(page, button, path):
    with page.expect_download() as waiting:
        page.locator(button).click()
    waiting.value.save_as(path)
    return path


def offers(page, path, expected):
    """Wait until the picture that can be downloaded is the expected: the button gets its file after the picture."""
    eventually(page, lambda: np.array_equal(images.load(downloaded(page, "#download-picture", path)), expected))


def uploaded(page, button, path):
    with page.expect_file_chooser() as waiting:
        button.click()
    waiting.value.set_files(path)


def upload_of(page, role):
    return page.locator(f".picker:has(.{role}-faces) button", has_text="Upload").first


def says(page, sentence):
    """Wait for a message."""
    expect(page.locator(".toast-body").filter(has_text=sentence).first).to_be_visible(timeout=1000 * PATIENCE_S)
    settled(page)


def faces(*roles):
    from flowxfer.app.faces import demo

    people = demo(SIZE)
    return [people[role][0].face for role in roles]


def test_the_slider_changes_the_picture_and_downloads_are_what_is_shown(page, tmp_path, tiny_transferer):
    target, expression, neutral = faces("target", "expression", "neutral")
    for alpha in (0.0, 0.4):
        set_alpha(page, alpha)
        expected = tiny_transferer.transfer(target, expression, neutral, alpha)[0]
        offers(page, tmp_path / "face.png", expected)
        assert read(tmp_path / "face.png").synthetic
        latents = downloaded(page, "#download-latents", tmp_path / "z.safetensors")
        assert np.array_equal(tiny_transferer.decode(Latents.load(latents))[0], expected)
    assert np.array_equal(tiny_transferer.transfer(target, expression, neutral, 0.0)[0], target)


def test_the_slider_moves_by_keys(page):
    set_alpha(page, 0.8)
    slider = page.locator("#alpha input[type=range]")
    slider.focus()
    assert change(page, lambda: slider.press("ArrowRight"))
    expect(page.locator("#alpha input[type=number]")).to_have_value("0.81", timeout=1000 * PATIENCE_S)


def test_what_is_no_number_is_a_sentence(page):
    set_alpha(page, 0.8)
    page.locator("#alpha input[type=number]").fill("")
    says(page, "expected a number from -0.5 to 1.5 for alpha, got none")
    assert change(page, lambda: page.locator("#alpha input[type=number]").fill("0.7"))


def test_another_target_and_another_expression(page):
    pictures = {source(page, "#result img")}
    for role, index in (("target", 1), ("expression", 2)):
        thumbnail = page.locator(f".{role}-faces").first.locator("button.thumbnail-item").nth(index)
        pictures.add(change(page, thumbnail.click))
    assert len(pictures) == 3


def test_of_two_uploads_none_is_lost(page, tmp_path):
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n broken")
        uploaded(page, upload_of(page, "target"), tmp_path / name)
    for name in ("one.png", "two.png"):
        says(page, f"in {name}, got")


def test_an_uploaded_picture_is_chosen(page, tmp_path):
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    images.save(np.stack([3 * x, 3 * y, 2 * x + 2 * y], axis=2).astype(np.uint8), tmp_path / "me.png")
    change(page, lambda: uploaded(page, upload_of(page, "target"), tmp_path / "me.png"))
    expect(page.locator(".target-faces").first.locator(".caption-label").last).to_have_text("me.png")
    set_alpha(page, 0)
    offers(page, tmp_path / "face.png", images.load(tmp_path / "me.png"))


def test_a_broken_file_is_a_sentence_and_the_page_goes_on(page, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    message = page.locator(".toast-body").filter(has_text="expected a picture (PNG, JPEG, WebP, …) in broken.png, got")
    uploaded(page, upload_of(page, "target"), tmp_path / "broken.png")
    message.first.wait_for()
    settled(page)
    before = source(page, "#result img")
    assert set_alpha(page, 0.31) != before


def test_a_photograph_of_nobody_is_a_sentence(page, tmp_path):
    images.save(np.full((120, 160, 3), 90, np.uint8), tmp_path / "a wall.png")
    uploaded(page, upload_of(page, "target"), tmp_path / "a wall.png")
    says(page, "expected a face in a wall.png, found none; it may be too small, turned away, or not upright")


def test_a_file_that_is_too_large_is_a_sentence(page, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    uploaded(page, upload_of(page, "target"), tmp_path / "large.png")
    says(page, re.compile("size", re.IGNORECASE))


def test_a_strip(page, tmp_path):
    page.get_by_text("Sweep: many strengths side by side").click()
    page.locator("#make-strip").click()
    page.wait_for_selector("#strip img")
    with Image.open(downloaded(page, "#download-strip", tmp_path / "strip.png")) as strip:
        assert strip.width > 6 * 128


def test_mix_and_sample(page):
    tab(page, "Mix")
    page.wait_for_selector("#mixed img")
    assert change(page, lambda: page.locator("#mix-alpha input[type=number]").fill("0.9"), "#mixed img")
    tab(page, "Sample")
    assert change(page, page.get_by_role("button", name="Draw faces").click, "#sheet img")


def test_sessions_do_not_trample_each_other(page, browser, address, tmp_path, tiny_transferer):
    target, expression, neutral = faces("target", "expression", "neutral")
    first, second = opened(browser, address, 1280), opened(browser, address, 1280)
    set_alpha(first, 0.2)
    set_alpha(second, 0.9)
    change(second, second.locator(".target-faces").first.locator("button.thumbnail-item").nth(2).click)
    offers(first, tmp_path / "face.png", tiny_transferer.transfer(target, expression, neutral, 0.2)[0])
    assert first.locator("#alpha input[type=number]").input_value() == "0.2"
    first.close()
    second.close()


def test_a_photograph_is_pasted_back(page, photo):
    change(page, lambda: uploaded(page, upload_of(page, "target"), photo))
    page.locator("#put-back").click()
    page.wait_for_selector("#photograph img")


def test_a_film_shows_its_progress_and_can_be_cancelled(page, monkeypatch):
    def film(self, source, expression, neutral, alpha, progress):
        for done in itertools.count(1):
            progress(Progress(done, 1000, 25.0, None))
            time.sleep(0.01)

    monkeypatch.setattr(Studio, "film", film)
    tab(page, "Film")
    page.wait_for_selector("#film video")
    page.locator("#make-film").click()
    page.get_by_text("25 frames a second").first.wait_for()
    page.locator("#cancel-film").click()
    page.get_by_text("Cancelled.").wait_for()
    settled(page)
    page.locator("#film button[aria-label=Clear]").click()
    page.locator("#make-film").click()
    says(page, "expected a film, got none; upload one first")


def test_a_film_performs(page, clip, tmp_path):
    tab(page, "Film")
    tab(page, "A performance")
    page.locator("#driver button[aria-label=Clear]").click()
    uploaded(page, page.locator("#driver button").first, clip)
    page.wait_for_selector("#driver video")
    page.locator("#drive-film").click()
    page.get_by_text("6 frames; in 6 of them there was a face.").wait_for()
    page.wait_for_selector("#film-result video")
    mark = read(downloaded(page, "#download-film", tmp_path / "film.mp4")).mark()
    assert (mark.model, mark.alphas) == ("tiny", (1,))


def test_a_film_that_is_none_is_a_sentence(page, tmp_path):
    (tmp_path / "no film.mp4").write_bytes(b"text" * 100)
    tab(page, "Film")
    tab(page, "A performance")
    page.get_by_label("Another film").check()
    page.locator("#drive-film").click()
    says(page, "expected a film to receive, got none; upload one first")
    uploaded(page, page.locator("#receiver button").first, tmp_path / "no film.mp4")
    says(page, "Video not playable")  # says the page already
    page.locator("#drive-film").click()
    says(page, "expected a film in no film.mp4, got none, or one that is damaged")


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_sticks_out_of_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    shown = {"Mix": "#mixed", "Sample": "#sheet", "Film": "#film-result", "Transfer": "#result"}
    for name, result in shown.items():
        tab(page, name)
        page.locator(result).wait_for()
        page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
    if width == 390:  # the picture and its slider are in sight at once
        page.wait_for_function("document.querySelector('#alpha').getBoundingClientRect().bottom <= 900")


def test_nothing_came_from_elsewhere(page, address):
    """All that the tests before have asked for."""
    elsewhere = {urlsplit(url).netloc for url in page.requested if not url.startswith(("data:", "blob:"))}
    assert elsewhere == {urlsplit(address).netloc}
