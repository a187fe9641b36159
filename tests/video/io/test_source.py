from __future__ import annotations

import re
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from flowxfer.errors import InputError, MissingExtraError, ShapeError, VideoError
from flowxfer.video import Frame, open_source
from tests.video.films import make_film, picture, times

WITH_TIMES = ["h264", "mkv", "vp9", "varying", "silent", "negative", "one", "ten_bits", "full_range", "lossless"]


def difference(a, b):
    return np.abs(a.astype(int) - b).mean()


@pytest.mark.parametrize("name", WITH_TIMES)
def test_a_films_frames_are_those_that_pyav_decodes(films, name):
    with open_source(films[name]) as source:
        frames = list(source.frames())
    assert [frame.time for frame in frames] == times(films[name])
    assert [frame.index for frame in frames] == list(range(len(frames)))
    for frame in frames:
        assert frame.pixels.shape == (*source.size, 3)
        assert frame.pixels.dtype == np.uint8
        assert isinstance(frame.native, av.VideoFrame)


@pytest.mark.parametrize("name", ["h264", "vp9", "full_range", "lossless", "yuv444", "rgb"])
def test_colours_are_those_that_were_filmed(films, name):
    source = open_source(films[name])
    for frame in source.frames():
        assert difference(frame.pixels, picture(frame.index, *source.size)) < 4


def test_what_is_known_before_decoding(films):
    source = open_source(films["h264"])
    assert source.size == (64, 96)
    assert source.rate == 25
    assert source.count == 60
    assert source.path == films["h264"]
    assert source.fingerprint == open_source(str(films["h264"])).fingerprint
    others = [open_source(films["mkv"]), open_source(films["h264"], start=1), open_source(films["h264"], end=1)]
    assert len({source.fingerprint, *(other.fingerprint for other in others)}) == 4
    assert open_source(films["mkv"]).count == 60  # by its duration: Matroska does not count frames
    assert open_source(films["vp9"]).rate == 30


def test_going_on_at_a_frame(films):
    source = open_source(films["h264"])
    every = list(source.frames())
    for first in (0, 1, 13, 59):
        rest = list(source.frames(first))
        assert [frame.index for frame in rest] == list(range(first, 60))
        assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(rest, every[first:], strict=True))
    assert list(source.frames(60)) == []


@pytest.mark.parametrize(("start", "end"), [(0, 0.5), (0.52, 1.0), (1.1, None), (1.32, 1.33), (2.0, 99), (2.35, 2.4)])
@pytest.mark.parametrize("name", ["h264", "mkv"])
def test_a_range_is_exact_to_the_frame(films, name, start, end):
    every = list(open_source(films[name]).frames())
    wanted = [frame for frame in every if frame.time >= Fraction(str(start)) and frame.time < Fraction(str(end or 99))]
    source = open_source(films[name], start=start, end=end)
    frames = list(source.frames())
    assert [frame.time for frame in frames] == [frame.time for frame in wanted]
    assert [frame.index for frame in frames] == list(range(len(wanted)))
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(frames, wanted, strict=True))
    assert abs(source.count - len(wanted)) <= 1
    assert [frame.index for frame in source.frames(1)] == list(range(1, len(wanted)))


def test_a_range_does_not_decode_what_is_before_its_key_frame(tmp_path, monkeypatch):
    film = make_film(tmp_path / "long.mp4", frames=200, size=(16, 16), options={"g": "10", "preset": "ultrafast"})
    source = open_source(film, start=7)
    decoded = 0
    pictures = source._pictures

    def counted(*arguments):
        nonlocal decoded
        for each in pictures(*arguments):
            decoded += 1
            yield each

    monkeypatch.setattr(source, "_pictures", counted)
    assert len(list(source.frames())) == 25
    assert decoded <= 25 + 25 + 10  # the range, a second of margin, a group of pictures


def test_a_film_that_starts_late_begins_where_its_sound_does(films):
    source = open_source(films["late"])
    assert [frame.time for frame in source.frames()] == [Fraction(i, 25) for i in range(10, 30)]


def test_a_film_without_sound_that_starts_late_begins_with_its_first_frame(tmp_path):
    film = make_film(tmp_path / "late.mkv", ticks=range(50, 60), options={"bf": "0"})
    assert [frame.time for frame in open_source(film).frames()] == [Fraction(i, 25) for i in range(10)]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_frames_are_upright(tmp_path, degrees, mirrored):
    stored = picture(3, 48, 80)
    film = make_film(
        tmp_path / "turned.mp4", size=(48, 80), pictures=[stored], ticks=[0], rotation=(degrees, mirrored, False)
    )
    # The display matrix turns counterclockwise first and mirrors then, as PyAV documents set_display_rotation.
    upright = np.rot90(stored, degrees // 90)
    upright = upright[:, ::-1] if mirrored else upright
    source = open_source(film)
    (frame,) = source.frames()
    assert source.size == upright.shape[:2]
    assert difference(frame.pixels, upright) < 5


def test_damaged_packets_are_skipped_and_counted(films, tmp_path, caplog):
    data = bytearray(films["h264"].read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    (tmp_path / "damaged.mp4").write_bytes(data)
    source = open_source(tmp_path / "damaged.mp4")
    frames = list(source.frames())
    assert 30 < len(frames) < 60
    assert frames[-1].time == Fraction(59, 25)  # what comes after the damage is there, at its time
    assert source.damaged > 0
    assert re.search(r"damaged.mp4 is damaged: \d+ packets or pictures were skipped or patched", caplog.text)
    assert [frame.index for frame in source.frames(20)] == [frame.index for frame in frames[20:]]


def test_a_film_that_breaks_off_gives_what_it_has(films, tmp_path, caplog):
    data = films["mkv"].read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    frames = list(open_source(tmp_path / "cut.mkv").frames())
    whole = list(open_source(films["mkv"]).frames())
    assert 10 < len(frames) < 60
    assert re.search(r"cut.mkv has no frame in its last 1\.\d seconds; it may be cut short", caplog.text)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(frames[:-3], whole, strict=False))


def test_an_error_says_what_is_wrong_with_a_film(films, tmp_path):
    with pytest.raises(VideoError, match=r"expected a film or pictures at .*nothing.mp4, but there is nothing"):
        open_source(tmp_path / "nothing.mp4")
    (tmp_path / "text.mp4").write_text("This is not a film. " * 100)
    with pytest.raises(VideoError, match=r"expected a film in .*text.mp4, got none, or one that is damaged or cut"):
        open_source(tmp_path / "text.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(VideoError, match=r"expected a film in .*empty.mp4, got an empty file"):
        open_source(tmp_path / "empty.mp4")
    data = films["h264"].read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])  # its index is at the end
    with pytest.raises(VideoError, match=r"expected a film in .*cut.mp4, got none, or one that is damaged or cut"):
        open_source(tmp_path / "cut.mp4")
    with pytest.raises(VideoError, match=r"expected a video stream in .*sound.mp4, got audio"):
        open_source(films["sound"])
    with pytest.raises(VideoError, match=r"expected at least one frame in .*zero.mkv, but none can be decoded"):
        open_source(films["zero"])
    with pytest.raises(VideoError, match=r"expected a frame between 50 s and the end of .*h264.mp4, but there is none"):
        list(open_source(films["h264"], start=50).frames())


def test_an_error_names_the_argument(films):
    with pytest.raises(InputError, match=r"expected a start of 0 seconds or more, got -1"):
        open_source(films["h264"], start=-1)
    with pytest.raises(InputError, match=r"expected a end of 0 seconds or more, got nan"):
        open_source(films["h264"], end=float("nan"))
    with pytest.raises(InputError, match=r"expected an end after the start, got start 2 and end 2 seconds"):
        open_source(films["h264"], start=2, end=2)
    with pytest.raises(InputError, match=r"expected a rate above 0 frames per second, got 0"):
        open_source([], rate=0)
    with pytest.raises(InputError, match=r"expected no rate, because the film .* has its own, got 30"):
        open_source(films["h264"], rate=30)
    with pytest.raises(InputError, match=r"expected a film, pictures or an iterable of frames, got int"):
        open_source(3)


def test_a_film_that_changes_its_size_stops_with_the_time(tmp_path):
    paths = [make_film(tmp_path / f"{side}.mpg", codec="mpeg1video", frames=10, size=(side, side)) for side in (64, 96)]
    (tmp_path / "both.mpg").write_bytes(b"".join(path.read_bytes() for path in paths))
    with pytest.raises(VideoError, match=r"expected 64x64 pixels throughout .*both.mpg, got 96x96 at \d+\.\d+ s"):
        list(open_source(tmp_path / "both.mpg").frames())


@pytest.fixture
def folder(tmp_path):
    for index in (10, 2, 1):
        Image.fromarray(picture(index, 20, 30)).save(tmp_path / f"{index}.png")
    return tmp_path


def test_a_folder_of_pictures(folder):
    source = open_source(folder, rate=10)
    frames = list(source.frames())
    assert [frame.time for frame in frames] == [0, Fraction(1, 10), Fraction(2, 10)]
    assert all(np.array_equal(f.pixels, picture(i, 20, 30)) for f, i in zip(frames, (1, 2, 10), strict=True))
    assert (source.size, source.rate, source.count, source.names) == ((20, 30), 10, 3, ["1", "2", "10"])
    assert [frame.index for frame in source.frames(1)] == [1, 2]
    fingerprint = source.fingerprint
    assert fingerprint == open_source(folder, rate=10).fingerprint
    Image.fromarray(picture(5, 20, 30)).save(folder / "1.png")
    assert fingerprint != open_source(folder, rate=10).fingerprint


def test_a_pattern_and_a_single_picture(folder):
    assert open_source(folder / "1*.png").names == ["1", "10"]
    assert open_source(str(folder / "2.png")).count == 1


def test_a_range_of_pictures(folder):
    source = open_source(folder, rate=10, start=0.1, end=0.2)
    (frame,) = source.frames()
    assert (frame.index, frame.time, source.count, source.names) == (0, Fraction(1, 10), 1, ["2"])
    assert np.array_equal(frame.pixels, picture(2, 20, 30))


def test_an_iterable_is_read_as_it_comes():
    def endless():
        index = 0
        while True:
            yield picture(index)
            index += 1

    source = open_source(endless())
    assert (source.count, source.fingerprint, source.rate, source.size) == (None, None, 25, (64, 96))
    frames = source.frames()
    for index in range(5):
        frame = next(frames)
        assert isinstance(frame, Frame)
        assert (frame.index, frame.time, frame.native) == (index, Fraction(index, 25), None)
        assert np.array_equal(frame.pixels, picture(index))


def test_a_list_can_be_read_twice():
    source = open_source([Image.fromarray(picture(i)) for i in range(4)], rate=30000 / 1001)
    assert source.count == 4
    assert source.rate == Fraction(30000, 1001)
    assert len(list(source.frames())) == len(list(source.frames())) == 4


def test_errors_of_pictures(folder):
    with pytest.raises(VideoError, match=r"expected at least one picture, got none"):
        open_source([])
    with pytest.raises(VideoError, match=r"expected pictures .* in .*\*\.jpg, but there are none"):
        open_source(folder / "*.jpg")
    with pytest.raises(VideoError, match=r"expected a picture in the range from 9 s to None s, but there is none"):
        list(open_source(folder, start=9).frames())
    Image.fromarray(picture(0, 21, 30)).save(folder / "3.png")
    with pytest.raises(ShapeError, match=r"expected pictures of 30x20 pixels, as the first .* got 30x21 at .*3.png"):
        list(open_source(folder).frames())
    with pytest.raises(ShapeError, match=r"expected pictures of 96x64 pixels.* got 30x20 at number 1"):
        list(open_source([picture(0), picture(0, 20, 30)]).frames())


def test_without_pyav_one_sentence_names_the_extra(films, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"needs av, which is not installed; pip install 'flowxfer\[video\]'"):
        open_source(films["h264"])


def test_pictures_do_not_load_pyav():
    code = (
        "import sys, numpy; from flowxfer.video import open_source;"
        "list(open_source([numpy.zeros((4, 4, 3), numpy.uint8)]).frames()); assert 'av' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
