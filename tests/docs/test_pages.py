"""Whoever does what a page says gets what it says."""

from __future__ import annotations

import re
import shutil
import zipfile

import numpy as np
import pytest

from flowxfer import Latents, Transferer, images
from flowxfer.directions import Attributes
from flowxfer.engines.probes import probe
from flowxfer.serve import create_app
from flowxfer.video import open_source
from tests import reference
from tests.docs.pages import PAGES, ROOT, run
from tests.glow.tensorflow_files import graph, write_checkpoint
from tests.serve.server import serving


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """An empty working folder with the data of a checkout."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(page):
    return len(re.findall(r"^```(?:sh|python)$", page.read_text("utf-8"), re.MULTILINE))


def test_the_tutorial_runs_from_top_to_bottom(checkout):
    page = PAGES / "tutorial.md"
    assert run(page) == blocks(page) > 10
    for name in ("demo/transfer.png", "transfer.png", "sweep.png", "mean.png", "smiling.mp4", "smiling.png"):
        assert (checkout / name).stat().st_size > 0


def test_photographs(checkout):
    """With a frame of the bundled film for a photograph."""
    with open_source("data/film/person.mp4") as film:
        images.save(next(film.frames()).pixels, "photo.png")
    shutil.copy("data/faces/expressions/smile.png", "smile.png")
    shutil.copy("data/faces/truth/id5/neutral.png", "neutral.png")
    page = PAGES / "how-to" / "photographs.md"
    assert run(page) == blocks(page) > 5
    assert images.load("faces/photo.png").shape == (256, 256, 3)
    assert (images.load("smiling.png") != images.load("photo.png")).any()


def test_openai_weights(checkout):
    """With a frozen graph, a checkpoint and attribute vectors of a toy."""
    variables = reference.random_variables(2, 2, 5, "additive", seed=0)
    (checkout / "graph_unoptimized.pb").write_bytes(graph(variables, image_size=8))
    write_checkpoint(checkout / "checkpoint", variables, name="model")
    np.save("z_manipulate.npy", np.random.default_rng(0).normal(0, 0.1, (40, 8 * 8 * 3)).astype(np.float32))
    images.save(np.full((8, 8, 3), 120, np.uint8), "face.png")
    page = PAGES / "how-to" / "openai-weights.md"
    assert run(page) == blocks(page) > 3
    assert Transferer("./mine").size == 8


def test_attributes(checkout):
    page = PAGES / "how-to" / "attributes.md"
    assert run(page) == blocks(page) > 3
    before = images.load("data/faces/truth/id1/neutral.png", 64)
    assert (images.load("smirking.png") != before).any()


def test_own_model(checkout):
    page = PAGES / "how-to" / "own-model.md"
    assert run(page) == blocks(page) > 3
    made = {path.name for path in (checkout / "runs" / "faces16").iterdir()}
    assert "model.safetensors" in made


@pytest.mark.skipif(not shutil.which("curl"), reason="its requests are made with curl")
def test_http_service(checkout, monkeypatch, tiny_transferer):
    """With a service on another port; fuzzing it is left to whoever has hours."""
    text, fuzzing, _ = (PAGES / "how-to" / "http-service.md").read_text("utf-8").partition("## Fuzzing")
    assert fuzzing
    for index, name in enumerate(("me", "you", "smile", "neutral", "neutral2")):
        images.save(probe("photograph", tiny_transferer.size, index), f"{name}.png")
    manifest = tiny_transferer.manifest
    still = Latents([np.zeros((1, *shape)) for shape in manifest.latent_shapes], manifest.model_hash)
    with serving(create_app(tiny_transferer, attributes=Attributes(["Smiling"], still))) as (host, port):
        monkeypatch.setenv("A", f"http://{host}:{port}/v1")  # blocks on one page are typed into one shell
        (checkout / "page.md").write_text(
            text.replace("127.0.0.1:8000", f"{host}:{port}").replace("curl ", "curl -sf ")
        )
        assert run(checkout / "page.md") == blocks(checkout / "page.md") == 3
    for name in ("smiling.png", "changed.png", "us.png", "nobody.jpg", "same.png"):
        assert images.load(name).shape == (tiny_transferer.size, tiny_transferer.size, 3)
    assert (images.load("same.png") == images.load("me.png")).all()
    with zipfile.ZipFile("both.zip") as both:
        assert both.namelist() == ["000.png", "001.png"]
