"""A page in a browser, as the tests of the app drive it.

Nothing here waits for a fixed time: on a busy machine a page takes long, and on a free one nobody should wait.
"""

from __future__ import annotations

import shutil
import time

import numpy as np
import pytest

from flowxfer import images

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MARKS = [
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium"),
    # Gradio's own, in its statistics of the queue.
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated", "ignore:The copy keyword is"),
]
SIZE = 32
PATIENCE_S = 120
OPEN_S = 10


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


def tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


def eventually(page, condition):
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        page.wait_for_timeout(50)


def settled(page):
    """Wait until all has been answered: what is asked for just when Gradio ends its stream of answers can get none.

    A stream that Gradio opens for an answer that has come already stays open, until something else is asked.
    """
    end = time.monotonic() + OPEN_S
    eventually(page, lambda: not page.streams or time.monotonic() > end)


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

    def same():
        settled(page)  # a click while the button gets another file downloads none
        return np.array_equal(images.load(downloaded(page, "#download-picture", path)), expected)

    eventually(page, same)


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
