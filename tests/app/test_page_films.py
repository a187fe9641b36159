"""The page's films in a browser: they are made, shown, cancelled, and end with the app."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import uvicorn

from flowxfer.app import Studio, serving
from flowxfer.provenance import read
from flowxfer.video import Progress
from tests.app.pages import MARKS, downloaded, opened, says, settled, tab, uploaded

pytestmark = MARKS


def endless(progress):
    for done in itertools.count(1):
        progress(Progress(done, 1000, 25.0, None))
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def film_tab(page):
    settled(page)
    tab(page, "Film")
    tab(page, "One expression")


def test_a_film_shows_its_progress_and_can_be_cancelled(page, monkeypatch):
    monkeypatch.setattr(Studio, "film", lambda self, source, expression, neutral, alpha, progress: endless(progress))
    page.wait_for_selector("#film video")
    page.locator("#make-film").click()
    page.get_by_text("25 frames a second").first.wait_for()
    page.locator("#cancel-film").click()
    page.get_by_text("Cancelled.").wait_for()
    settled(page)
    page.locator("#film button[aria-label=Clear]").click()
    page.locator("#make-film").click()
    says(page, "expected a film, got none; upload one first")


def test_the_study_of_a_performer_is_shown_and_can_be_cancelled(page):
    tab(page, "A performance")
    page.wait_for_selector("#driver video")
    page.locator("#drive-film").click()
    page.get_by_text("Studying the performer").first.wait_for()
    page.locator("#cancel-film").click()
    page.get_by_text("Cancelled.").wait_for()


def test_a_film_performs(page, clip, tmp_path):
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
    tab(page, "A performance")
    page.get_by_label("Another film").check()
    page.locator("#drive-film").click()
    says(page, "expected a film to receive, got none; upload one first")
    uploaded(page, page.locator("#receiver button").first, tmp_path / "no film.mp4")
    says(page, "Video not playable")  # says the page already
    page.locator("#drive-film").click()
    says(page, "expected a film in no film.mp4, got none, or one that is damaged")


def test_films_end_before_the_server_does(browser, tiny_transferer, monkeypatch):
    ended, shutdown = [], uvicorn.Server.shutdown

    def film(self, source, expression, neutral, alpha, progress):
        try:
            endless(progress)
        finally:
            ended.append("film")

    async def noted(server, sockets=None):
        ended.append("server")
        await shutdown(server, sockets)

    monkeypatch.setattr(Studio, "film", film)
    monkeypatch.setattr(uvicorn.Server, "shutdown", noted)
    with serving(tiny_transferer, port=None) as address:
        page = opened(browser, address, 1280)
        tab(page, "Film")
        page.locator("#make-film").click()
        page.get_by_text("25 frames a second").first.wait_for()
    assert ended == ["film", "server"]
    page.close()


ENDLESS = """
import itertools, time
from flowxfer.app import Studio
from flowxfer.cli import app
from flowxfer.video import Progress

def film(self, source, expression, neutral, alpha, progress):
    for done in itertools.count(1):
        progress(Progress(done, 1000, 25.0, None))
        time.sleep(0.01)

Studio.film = film
app()
"""


def test_ctrl_c_ends_a_film_and_the_app_without_a_word(browser, tiny_bundle, tmp_path):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-c", ENDLESS, "app", "--port", port, "-m", str(tiny_bundle)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            page = opened(browser, process.stdout.readline().split()[2].rstrip(";"), 1280)
            tab(page, "Film")
            page.locator("#make-film").click()
            page.get_by_text("25 frames a second").first.wait_for()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            page.close()
            assert process.stderr.read() == ""
        finally:
            process.kill()
    assert [path.name for path in tmp_path.iterdir() if path.name != ".ses"] == []  # which is ONNX Runtime's
