"""What the page shows is what was asked for last, however quickly; and fields in which somebody is typing."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from flowxfer import images
from flowxfer.app import Studio
from flowxfer.app.folder import FOLDER
from tests.app.pages import (
    MARKS,
    SIZE,
    change,
    downloaded,
    eventually,
    offers,
    says,
    set_alpha,
    settled,
    source,
    upload_of,
    uploaded,
)

pytestmark = MARKS

CLICK = """async ([role, order, gap_ms]) => {
    const faces = document.querySelector(`.${role}-faces`).querySelectorAll('button.thumbnail-item');
    for (const index of order) {
        faces[index].click();
        if (gap_ms) await new Promise(resolve => setTimeout(resolve, gap_ms));
    }
}"""


@pytest.fixture
def cast():
    """The faces of the first tab, by role."""
    from flowxfer.app.faces import demo

    return {role: [picture.face for picture in pictures] for role, pictures in demo(SIZE).items()}


@pytest.fixture
def expected(cast, tiny_transferer):
    def transferred(target, expression, alpha=0.8):
        faces = cast["target"][target], cast["expression"][expression], cast["neutral"][0]
        return tiny_transferer.transfer(*faces, alpha)[0]

    return transferred


@pytest.fixture(autouse=True)
def first_faces(page, tmp_path, expected):
    """Begin with the first faces, and with no message left over."""
    page.evaluate("document.querySelectorAll('.toast-close').forEach(button => button.click())")
    page.wait_for_function("document.querySelector('.toast-body') === null")
    for role in ("target", "expression"):
        page.evaluate(CLICK, [role, [0]])
    page.locator("#alpha input[type=number]").fill("0.8")
    offers(page, tmp_path / "first.png", expected(0, 0))


def stays(page, path, expected):
    """Wait until the picture is the expected, and see that no other comes after it."""
    offers(page, path, expected)
    settled(page)
    assert np.array_equal(images.load(downloaded(page, "#download-picture", path)), expected)


@pytest.mark.parametrize("gap_ms", [0, 5, 40])
@pytest.mark.parametrize("order", [(1, 4, 7, 2), (6, 0, 3, 9)])
def test_of_four_faces_chosen_quickly_the_last_is_shown(page, tmp_path, expected, order, gap_ms):
    page.evaluate(CLICK, ["expression", order, gap_ms])
    stays(page, tmp_path / "face.png", expected(0, order[-1]))


def test_an_older_answer_does_not_come_after_a_newer_one(page, tmp_path, expected, monkeypatch):
    """What was asked for first takes longest, and is asked for in another way."""
    begun, transfer = threading.Event(), Studio.transfer

    def slow_at_first(*arguments):
        first = not begun.is_set()
        begun.set()
        result = transfer(*arguments)
        time.sleep(first)
        return result

    monkeypatch.setattr(Studio, "transfer", slow_at_first)
    page.locator("#alpha input[type=number]").fill("0.3")
    eventually(page, begun.is_set)
    page.evaluate(CLICK, ["target", [2]])
    page.evaluate(CLICK, ["expression", [3]])
    stays(page, tmp_path / "face.png", expected(2, 3, 0.3))


def test_an_empty_field_is_waited_for(page, tmp_path, expected):
    field = page.locator("#alpha input[type=number]")
    before = source(page, "#result img")
    with page.expect_response(lambda response: "/queue/join" in response.url):
        field.fill("")
    settled(page)
    assert source(page, "#result img") == before
    field.press_sequentially("0.75")
    offers(page, tmp_path / "face.png", expected(0, 0, 0.75))
    for digits in ("", "0.7"):
        field.fill(digits)
    offers(page, tmp_path / "face.png", expected(0, 0, 0.7))
    assert page.locator(".toast-body").count() == 0


def test_an_empty_field_is_a_sentence_when_the_action_is_taken(page):
    page.get_by_text("Sweep: many strengths side by side").click()
    field = page.get_by_label("Pictures")

    def emptied():  # which the field undoes while it is still being built
        field.fill("")
        page.wait_for_timeout(100)
        return field.input_value() == ""

    eventually(page, emptied)
    assert page.locator(".toast-body").count() == 0
    page.locator("#make-strip").click()
    says(page, "expected a number from 2 to 32 for Pictures, got none")


def test_a_face_is_chosen_beside_one_that_was_uploaded(page, tmp_path, cast):
    """And so it is when Gradio has removed the pictures of the row, as it does after an hour."""
    images.save(cast["neutral"][0], tmp_path / "me.png")
    change(page, lambda: uploaded(page, upload_of(page, "target"), tmp_path / "me.png"))
    set_alpha(page, 0)
    offers(page, tmp_path / "face.png", cast["neutral"][0])
    row = list((FOLDER / "gradio").rglob("image.png"))
    assert len(row) > len(cast["target"])
    for file in row:
        file.unlink()
    for index, face in ((1, cast["target"][1]), (4, cast["neutral"][0]), (0, cast["target"][0])):
        page.evaluate(CLICK, ["target", [index]])
        offers(page, tmp_path / "face.png", face)
