"""Names, terminals and proxies as people have them."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from flowxfer import images
from flowxfer.app.proxies import without_proxies
from flowxfer.errors import InputError, MissingExtraError, ProviderError, unimportable
from flowxfer.evaluation.tables import read_tidy
from flowxfer.files import hidden_beside
from flowxfer.glow.training import TrainingConfig
from flowxfer.transferer import Transferer
from flowxfer.video import open_sink, open_source
from tests.hardening.test_surroundings import faces, flowxfer  # noqa: F401  # a fixture
from tests.video.films import make_film, times

LINE = "transfer -t target.png -e smile.png -n neutral.png -m {model} -o {output}"


def unchanged(film, output, **options):
    source = open_source(film)
    with open_sink(output, source, **options) as sink:
        for frame in source.frames():
            sink.write(frame, frame.pixels, None, record={}, state={})
    return output


@pytest.mark.parametrize("name", ["10:45.mp4", "2024-01-01T10:30:05.mkv", "concat:a.mp4", "10:00/a.mp4", "data:x.webm"])
def test_a_colon_is_no_protocol(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    film = make_film(tmp_path / "film.mp4", frames=3)
    unchanged(film, name)
    assert len(times(tmp_path / name)) == 3
    assert len(list(open_source(name).frames())) == 3
    assert len(list(open_source(f"./{name}").frames())) == 3


@pytest.mark.parametrize("letters", [81, 83])
def test_a_name_that_the_system_takes_is_taken(tmp_path, letters):
    name = "影" * letters + "a" * (251 - 3 * letters) + ".mp4"
    assert len(os.fsencode(name)) == 255
    unchanged(make_film(tmp_path / "film.mp4", frames=3), tmp_path / name, log=tmp_path / "log")
    assert len(times(tmp_path / name)) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["film.mp4", "log", name])


def test_hidden_names_are_short_and_differ(tmp_path):
    long = [tmp_path / ("影" * 80 + letter + ".mp4") for letter in "ab"]
    hidden = [hidden_beside(path, "partial") for path in long]
    assert hidden[0] != hidden[1]
    assert all(len(os.fsencode(path.name)) <= 255 and path.name.startswith(".") for path in hidden)
    assert hidden_beside(tmp_path / "a.mp4", "partial").name == ".a.mp4.partial"


def test_names_that_the_output_cannot_spell(faces, tiny_bundle):  # noqa: F811
    done = flowxfer(LINE.format(model=tiny_bundle, output="影.png"), faces, PYTHONIOENCODING="cp1252")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\\u5f71.png\n"
    assert images.load(faces / "影.png").shape == (32, 32, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_names_that_are_no_text(faces, tiny_bundle):  # noqa: F811
    os.rename(faces / "target.png", os.fsencode(faces) + b"/t\xff.png")
    line = f"transfer -t . -e smile.png -n neutral.png -m {tiny_bundle} -o out"
    done = flowxfer(line, faces, before="import sys; sys.stdout = open('said', 'w')")
    assert done.returncode == 0, done.stderr
    assert b"t\xff.png" in os.listdir(os.fsencode(faces / "out"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_a_bundle_in_a_folder_whose_name_is_no_text(tmp_path, tiny_bundle):
    link = os.fsencode(tmp_path) + b"/b\xff"
    os.symlink(tiny_bundle, link)
    with pytest.raises(ProviderError, match=r"in a folder whose name is UTF-8, got .*udcff.*; rename"):
        Transferer(images.reading.Path(os.fsdecode(link)))


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    (tmp_path / "t.toml").write_text('\ufeffoutput = "run"\nfaces = "faces"\n', encoding="utf-8")
    assert TrainingConfig.load(tmp_path / "t.toml").output == "run"
    assert read_tidy is not None


@pytest.mark.parametrize("name", ["http_proxy", "ALL_PROXY", "no_proxy", "HTTPS_PROXY"])
def test_the_app_knows_no_proxies(monkeypatch, name):
    monkeypatch.setenv(name, "socks://127.0.0.1:9/")
    with without_proxies():
        assert name not in os.environ
    assert os.environ[name] == "socks://127.0.0.1:9/"


@pytest.mark.parametrize("surroundings", [{"all_proxy": "socks5://127.0.0.1:9"}, {"no_proxy": "fe80::/10"}])
def test_gradio_is_imported_whatever_proxies_are_named(tmp_path, surroundings):
    pytest.importorskip("gradio")
    done = flowxfer("app --help", tmp_path, before="import flowxfer.app", **surroundings)
    assert done.returncode == 0, done.stderr


def test_a_package_that_does_not_start_is_not_called_missing():
    missing = unimportable(ModuleNotFoundError("No module named 'gradio'"), "gradio", "app", "`flowxfer app`")
    assert isinstance(missing, MissingExtraError)
    broken = unimportable(ImportError("Using SOCKS proxy, but …"), "gradio", "app", "`flowxfer app`")
    assert isinstance(broken, InputError)
    assert str(broken) == "`flowxfer app` needs gradio, which is installed and does not start: Using SOCKS proxy, but …"


def test_sound_that_is_longer_than_the_picture_is_no_damage(tmp_path, caplog):
    film = make_film(tmp_path / "film.mkv", frames=25, sounds=("libopus",), ticks=range(25))
    long = make_film(tmp_path / "long.mkv", frames=25, ticks=[*range(24), 100], sounds=("libopus",))
    import av

    with av.open(str(film)) as picture, av.open(str(long)) as sound, av.open(str(tmp_path / "both.mkv"), "w") as both:
        copies = [both.add_stream_from_template(picture.streams.video[0])]
        copies.append(both.add_stream_from_template(sound.streams.audio[0]))
        for source, new in ((picture.demux(video=0), copies[0]), (sound.demux(audio=0), copies[1])):
            for packet in source:
                if packet.size:
                    packet.stream = new
                    both.mux(packet)
    assert len(list(open_source(tmp_path / "both.mkv").frames())) == 25
    assert caplog.text == ""
    assert np.all([len(times(film)) == 25])
