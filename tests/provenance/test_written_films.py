"""Marks in the films that flowxfer writes, by the library and by the command."""

from __future__ import annotations

import shlex
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from flowxfer import images
from flowxfer.cli import app
from flowxfer.cli import video as commands
from flowxfer.cli.marking import DUTY
from flowxfer.errors import ProvenanceError, VideoError
from flowxfer.provenance import EDITED, Signer, read
from flowxfer.video import open_sink, open_source
from tests.provenance.samples import MARK, exiftool, film, pixels
from tests.video.beacons import HEIGHT, WIDTH, Beacons, crop, walk
from tests.video.beacons import picture as beacon
from tests.video.films import make_film


@pytest.fixture
def source(tmp_path):
    """A film with a comment of its own."""
    return film(tmp_path / "source.mkv", {"title": "A film", "comment": "mine"})


def write(source, output, *, stop=None, **options):
    """Copy a film frame by frame; break off before the frame ``stop``."""
    with open_source(source) as frames, open_sink(output, frames, segment_frames=4, **options) as sink:
        for frame in frames.frames(sink.done):
            if frame.index == stop:
                raise KeyboardInterrupt
            sink.write(frame, frame.pixels, None, record={}, state={})
    return output


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv", "out.webm"])
def test_a_film_says_how_it_was_made_and_its_frames_are_the_same(tmp_path, source, name):
    marked = write(source, tmp_path / name, mark=MARK)
    plain = write(source, tmp_path / f"plain-{name}")
    assert read(marked).mark() == MARK
    assert not read(plain).synthetic
    assert np.array_equal(pixels(marked), pixels(plain))
    assert exiftool(marked)[0]["Comment"] == exiftool(plain)[0]["Comment"] == "mine"
    assert exiftool(marked)[0]["DigitalSourceType"] == EDITED


def test_pictures_of_frames_are_marked_each(tmp_path, source):
    folder = write(source, tmp_path / "out", mark=MARK)
    assert [read(path).mark() for path in sorted(folder.iterdir())] == [MARK] * 12


def test_a_resumed_film_is_marked_as_it_was_to_be(tmp_path, source):
    whole = write(source, tmp_path / "whole.mp4", mark=MARK)
    with pytest.raises(KeyboardInterrupt):
        write(source, tmp_path / "out.mp4", stop=6, mark=MARK)
    with pytest.raises(VideoError, match="differs in mark; go on with what it began with"):
        write(source, tmp_path / "out.mp4", resume=True)
    resumed = write(source, tmp_path / "out.mp4", resume=True, mark=MARK)
    assert resumed.read_bytes() == whole.read_bytes()


def test_films_are_signed(tmp_path, source, pair):
    mark = replace(MARK, signer=Signer(*pair))
    path = write(source, tmp_path / "out.mp4", mark=mark)
    assert read(path, trust=pair[0]).manifest.state == "Trusted"
    assert len(pixels(path)) == 12
    for name in ("out.mkv", "out.webm"):
        with pytest.raises(
            ProvenanceError, match=rf"expected a film that C2PA can sign, an .mp4 or .mov, got .*{name}"
        ):
            write(source, tmp_path / name, mark=mark)


def test_the_command(tmp_path, tiny_bundle, pair, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("flowxfer.faces.tracking.embed", lambda crop: np.zeros(128))
    monkeypatch.setattr(commands, "find_by", lambda name: Beacons())
    make_film(
        tmp_path / "film.mkv", pictures=walk(8), frames=8, codec="ffv1", pixel_format="yuv444p", size=(HEIGHT, WIDTH)
    )
    images.save(crop(beacon(40, shade=30)), tmp_path / "smile.png")
    images.save(crop(beacon(40, shade=-20)), tmp_path / "neutral.png")
    line = f"video film.mkv -e smile.png -n neutral.png -a 0.5 -m {tiny_bundle} --detector mtcnn --preview 4 --force"

    def run(options: str) -> str:
        result = CliRunner().invoke(app, shlex.split(f"{line} {options}"))
        assert result.exit_code == 0, result.output
        return result.stderr

    assert run(f"-o out.mp4 --certificate {pair[0]} --key {pair[1]}") == ""
    for name in ("out.mp4", "out.preview.png"):
        found = read(name)
        assert (found.source_type, found.model, found.alphas) == (EDITED, "tiny", (0.5,))
        assert found.manifest.state == "Valid"
    before = pixels(tmp_path / "out.mp4")
    assert DUTY in run("-o out.mp4 --no-mark")
    assert not read("out.mp4").synthetic
    assert np.array_equal(pixels(tmp_path / "out.mp4"), before)
