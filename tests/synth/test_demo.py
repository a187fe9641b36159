import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("numba", reason="the extra synth is not installed")

import flowxfer.data
from flowxfer.errors import MissingExtraError
from flowxfer.synth import demo, expression, film
from flowxfer.synth.__main__ import main
from flowxfer.synth.dataset import Shoot
from flowxfer.synth.demo import DEMO_EXPRESSIONS, DEMO_PEOPLE

FACES = Path(next(iter(flowxfer.data.__path__))) / "faces"
FILM = FACES.parent / "film" / "person.mp4"


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def test_the_bundled_set_is_complete_and_small():
    pictures = sorted(FACES.rglob("*.png"))
    expected = {f"expressions/{name}.png" for name in DEMO_EXPRESSIONS}
    expected |= {f"id{i}_aligned/{k:02d}.png" for i in range(1, 6) for k in range(1, 13)}
    expected |= {f"truth/id{i}/{name}.png" for i in range(1, 6) for name in ("neutral", *DEMO_EXPRESSIONS)}
    assert {str(p.relative_to(FACES)) for p in pictures} == expected
    assert sum(p.stat().st_size for p in pictures) < 12e6
    assert all(pixels(p).shape == (256, 256, 3) for p in pictures)


@pytest.mark.parametrize(("name", "person"), [("truth/id3/surprise.png", 3), ("expressions/surprise.png", 5)])
def test_a_bundled_picture_can_be_made_again(name, person):
    shoot = Shoot.sample(DEMO_PEOPLE[person - 1], jitter=0.4)
    again = shoot.picture(expression("surprise"), size=256).astype(int)
    difference = np.abs(pixels(FACES / name) - again)
    assert difference.max() <= 2 or np.mean(difference > 2) < 1e-4  # another libm may round elsewhere


def test_the_source_is_id5():
    for name in DEMO_EXPRESSIONS:
        assert (FACES / "expressions" / f"{name}.png").read_bytes() == (
            FACES / "truth/id5" / f"{name}.png"
        ).read_bytes()


@pytest.mark.parametrize("i", range(1, 6))
def test_the_mean_of_the_aligned_pictures_is_nearer_to_neutral_than_any_expression(i):
    pictures = [pixels(p) for p in (FACES / f"id{i}_aligned").iterdir()]
    mean, truth = np.mean(pictures, axis=0), FACES / f"truth/id{i}"
    apart = {p.stem: np.abs(pixels(p) - mean).mean() for p in truth.glob("*.png")}
    assert min(apart, key=apart.get) == "neutral"
    assert len({picture.tobytes() for picture in pictures}) == 12


def test_the_parameters_are_the_peoples():
    parameters = json.loads((FACES / "truth/parameters.json").read_text())
    assert [person["seed"] for person in parameters["people"].values()] == list(DEMO_PEOPLE)
    assert parameters["source"] == "id5"
    assert parameters["expressions"]["open"] == {"jawOpen": 0.75}


def test_the_demo_command_writes_the_layout(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "_SIZE", 16)
    assert main(["demo", "-o", str(tmp_path)]) == 0
    made = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*")}
    assert made == {str(p.relative_to(FACES)) for p in FACES.rglob("*.*")}
    assert "125/125 pictures" in capsys.readouterr().out


def probe(path):
    av = pytest.importorskip("av", reason="PyAV is not installed")
    with av.open(str(path)) as container:
        streams = {stream.type: stream.codec_context.name for stream in container.streams}
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return streams, frames, container.duration / 1e6


def test_the_bundled_film_is_four_seconds_with_sound():
    streams, frames, seconds = probe(FILM)
    assert streams == {"video": "h264", "audio": "aac"}
    assert len(frames) == 100
    assert frames[0].shape == (360, 640, 3)
    assert seconds == pytest.approx(4.0, abs=0.1)
    assert FILM.stat().st_size < 1e6
    assert np.abs(frames[0].astype(int) - frames[25]).mean() > 2  # it moves


def test_the_film_command_writes_a_film(tmp_path, monkeypatch):
    monkeypatch.setattr(film, "_WIDTH", 64)
    monkeypatch.setattr(film, "_HEIGHT", 48)
    monkeypatch.setattr(film, "_SECONDS", 1)
    assert main(["film", "-o", str(tmp_path / "f.mp4")]) == 0
    streams, frames, _ = probe(tmp_path / "f.mp4")
    assert set(streams) == {"video", "audio"}
    assert len(frames) == 25


def test_without_pyav_one_sentence_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"needs av, .* pip install 'flowxfer\[synth\]'"):
        film.write_film(tmp_path / "f.mp4")
    assert list(tmp_path.iterdir()) == []


def test_commands_print_and_report(tmp_path, capsys):
    assert main(["distribution", "--people", "4"]) == 0
    assert capsys.readouterr().out.startswith("| attribute | value | people | share |")
    assert main(["sheet", "--people", "2", "--size", "16", "-o", str(tmp_path / "s.png")]) == 0
    assert pixels(tmp_path / "s.png").shape == (2 * 16, 12 * 16, 3)
    assert main(["evaluation", "--people", "0", "-o", str(tmp_path / "e.npy")]) == 1
    assert capsys.readouterr().err.startswith("error: expected a .npy and 1 to")
    assert main(["dataset", "--people", "2", "--people-per-group", "2", "--expressions", "1", "--size", "16",
                 "-o", str(tmp_path / "d.npy")]) == 0  # fmt: skip
    assert np.load(tmp_path / "d.npy").shape == (1, 2, 3, 16, 16, 3)
