"""A small batch: six faces, a photograph and a film, and what is done to them."""

from __future__ import annotations

from flowxfer import images
from flowxfer.bundle import Bundle
from flowxfer.cluster import FilmTask, Photo, Recipe, in_groups
from flowxfer.provenance import EDITED, Mark
from tests.video.beacons import HEIGHT, WIDTH, Beacons, crop, picture, walk
from tests.video.films import make_film

SEGMENT = 8
FRAMES = 60  # 2.4 seconds: the later segments begin with a seek
ALPHA = 0.5


def make_inputs(folder):
    folder.mkdir()
    for index in range(6):
        images.save(crop(picture(30 + index, shade=4 * index)), folder / f"face{index}.png")
    images.save(picture(30, shade=20), folder / "photo.png")
    pictures = walk(FRAMES, missing=range(20, 23))
    make_film(
        folder / "film.mp4",
        pictures=pictures,
        frames=FRAMES,
        sounds=["aac"],
        codec="libx264",
        pixel_format="yuv444p",
        size=(HEIGHT, WIDTH),
        options={"g": "7", "bf": "2", "crf": "0", "preset": "ultrafast"},
    )
    return folder


def make_tasks(inputs, output):
    faces = [(inputs / f"face{index}.png", output / f"face{index}.png") for index in range(6)]
    return [
        *in_groups(faces),
        Photo(inputs / "photo.png", output / "photo.png"),
        FilmTask(inputs / "film.mp4", output / "film.mp4"),
    ]


def make_recipe(bundle, **other):
    manifest = Bundle.open(bundle).manifest
    chosen = {"detector": Beacons, "alpha": ALPHA, "threads": 1} | other
    return Recipe(
        model=str(bundle),
        model_hash=manifest.model_hash,
        expression=crop(picture(40, shade=30)),
        neutral=crop(picture(40, shade=-20))[None],
        mark=Mark(EDITED, manifest.name, manifest.model_hash, (ALPHA,)),
        **chosen,
    )
