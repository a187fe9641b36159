"""The page in a browser: choose, move the slider, see the picture change, download, upload; wide and narrow windows."""

from __future__ import annotations

import io
import re
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import ExifTags, Image

from flowxfer import Latents, images
from flowxfer.provenance import read
from tests.app.pages import (
    MARKS,
    PATIENCE_S,
    SIZE,
    change,
    downloaded,
    expect,
    faces,
    offers,
    opened,
    says,
    set_alpha,
    settled,
    source,
    tab,
    upload_of,
    uploaded,
)

pytestmark = MARKS


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


def test_a_photograph_is_pasted_back_and_keeps_what_it_says(page, photo):
    exif = Image.Exif()
    exif[ExifTags.Base.Copyright] = "somebody"
    Image.fromarray(images.load(photo)).save(photo, exif=exif)
    change(page, lambda: uploaded(page, upload_of(page, "target"), photo))
    page.locator("#put-back").click()
    page.wait_for_selector("#photograph img")
    with Image.open(io.BytesIO(page.request.get(source(page, "#photograph img")).body())) as image:
        assert image.getexif()[ExifTags.Base.Copyright] == "somebody"


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
