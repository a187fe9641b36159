"""What a lossy film costs: an edit no more than encoding again, and its colours little more than 4:2:0 does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import flowxfer
from flowxfer import Transferer, images
from flowxfer.faces import Tracker, paste_blend
from flowxfer.video import Options, edit, open_source
from flowxfer.video.io.colours import from_rgb, to_rgb

DATA = Path(flowxfer.__file__).parent / "data"
FILM, ALPHA = DATA / "film" / "person.mp4", 0.8


def root_mean_square(parts):
    return np.sqrt(np.mean(np.concatenate([part.ravel() for part in parts]) ** 2))


def differences(films, boxes, *, inside):
    """What two films differ by, in grey levels, within the boxes or beyond them."""
    for one, other, (left, top, right, bottom) in zip(*films, boxes, strict=True):
        where = np.zeros(one.shape[:2], bool)
        where[top:bottom, left:right] = True
        yield (one.astype(float) - other)[where == inside]


@pytest.fixture(scope="module")
def cost(tmp_path_factory):
    """The bundled film's first frames, what was asked for, and what came; with its boxes and its look."""
    pytest.importorskip("dlib")
    folder, flow = tmp_path_factory.mktemp("cost"), Transferer(threads=1)
    faces = [
        images.load(DATA / "faces" / name, flow.size) for name in ("expressions/smile.png", "truth/id5/neutral.png")
    ]

    def edited(name, alpha, **options):
        chosen = Options(end=0.4, log=folder / "log.jsonl", overwrite=True, **options)
        edit(FILM, folder / name, *faces, alpha=alpha, transferer=flow, options=chosen)
        with open_source(folder / name) as film:
            return [frame.pixels for frame in film.frames()]

    with open_source(FILM, end=0.4) as film:
        look, source = film.look, [frame.pixels for frame in film.frames()]
    films = {
        "source": source,
        "encoded": edited("encoded.mp4", 0),
        "lossless": edited("lossless.mkv", ALPHA, codec="ffv1"),
    }
    films["edited"] = edited("edited.mp4", ALPHA)
    tracker = Tracker(flow.size)
    found = [tracker.follow(image, index / 25) for index, image in enumerate(source)]
    new = flow.transfer(np.stack([face.crop for face in found]), *faces, ALPHA)
    films["asked"] = [paste_blend(*each) for each in zip(source, found, new, strict=True)]
    boxes = [json.loads(line)["box"] for line in (folder / "log.jsonl").read_text().splitlines()]
    return films, boxes, look


def test_what_an_edit_does_not_touch_costs_what_encoding_again_costs(cost):
    films, boxes, _ = cost
    with_edit, without = (
        root_mean_square(differences((films["source"], films[name]), boxes, inside=False))
        for name in ("edited", "encoded")
    )
    assert 0.1 < without < 2
    assert with_edit == pytest.approx(without, rel=0.03)


def test_a_change_in_planes_of_luma_and_chroma_costs_little_more_than_these_do(cost):
    films, boxes, look = cost
    converted = [to_rgb(from_rgb(image, look)) for image in films["asked"]]
    ours, theirs = (
        root_mean_square(differences((films["asked"], film), boxes, inside=True))
        for film in (films["lossless"], converted)
    )
    assert ours < 1.5 * theirs
    assert ours < 1
