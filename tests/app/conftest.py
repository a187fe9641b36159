from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """The first 6 frames of the film that comes with flowxfer: 320 wide and 180 high, with a face."""
    import av

    from flowxfer.app.faces import demo_film

    path = tmp_path_factory.mktemp("films") / "a clip.mp4"
    with av.open(demo_film()) as film, av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "15"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for frame in itertools.islice(film.decode(video=0), 6):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(frame.to_ndarray(width=320, height=180, format="rgb24")))
            )
        container.mux(stream.encode())
    return path


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A photograph, 96 wide and 64 high, in which a face is found."""
    from flowxfer.faces import Aligned, Face

    y, x = np.mgrid[0:64, 0:96]
    pixels = np.stack([2 * x, 3 * y, x + y], axis=2).astype(np.uint8)
    face = Face((20, 10, 60, 50), np.array([[35.0, 26.0], [48.0, 26.0]]), 1.0)
    monkeypatch.setattr("flowxfer.app.faces.align", lambda picture, *, size: [Aligned.cut(picture, face, size)])
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture(scope="module")
def address(tiny_transferer):
    from flowxfer.app import serving

    with serving(tiny_transferer, port=None, max_upload_bytes=1 << 20) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    from tests.app.pages import BROWSER, playwright

    with playwright.sync_playwright() as started:
        # Containers often have little shared memory, and no right to a sandbox of its own.
        browser = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser, address):
    """A wide window, which the tests of a module share; every request of it is noted."""
    from tests.app.pages import opened

    page = opened(browser, address, 1280)
    yield page
    page.close()
