"""Animated WebP, PNG and AVIF are films, and of several frames."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, features

from flowxfer.errors import ImageError, InputError, VideoError
from flowxfer.video import open_sink, open_source
from tests.video.films import picture, times

DURATIONS = [100, 200, 100, 50, 100]
SHOWN = [Fraction(t, 1000) for t in (0, 100, 300, 400, 450)]
EXACT = {"webp": {"lossless": True}, "png": {}, "avif": {"quality": 100}}


@pytest.fixture(params=sorted(EXACT))
def animation(tmp_path, request):
    if request.param == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = tmp_path / f"animation.{request.param}"
    first, *rest = [Image.fromarray(picture(index)) for index in range(5)]
    first.save(path, save_all=True, append_images=rest, duration=DURATIONS, **EXACT[request.param])
    return path


def test_all_frames_come_at_their_times(animation):
    source = open_source(animation)
    frames = list(source.frames())
    assert source.count == 5
    assert [frame.time for frame in frames] == SHOWN
    for index, frame in enumerate(frames):
        assert np.abs(frame.pixels.astype(int) - picture(index)).mean() < (3 if animation.suffix == ".avif" else 1e-9)
    assert [frame.index for frame in source.frames(3)] == [3, 4]


def test_a_range(animation):
    source = open_source(animation, start=0.1, end=0.42)
    assert [frame.time for frame in source.frames()] == SHOWN[1:4]
    assert np.array_equal(next(source.frames()).pixels, list(open_source(animation).frames())[1].pixels)
    with pytest.raises(VideoError, match="but there is none"):
        next(open_source(animation, start=7).frames())


def test_a_film_of_it(animation, tmp_path):
    source = open_source(animation)
    with open_sink(tmp_path / "out.mp4", source) as sink:
        for frame in source.frames():
            sink.write(frame, frame.pixels, None, record={}, state={})
    assert times(tmp_path / "out.mp4") == SHOWN


def test_it_has_a_rate_of_its_own(animation):
    with pytest.raises(InputError, match="expected no rate, because the film .* has its own, got 10"):
        open_source(animation, rate=10)


def test_the_picture_for_those_who_cannot_show_it_is_left_out(tmp_path):
    other, first, *rest = [Image.fromarray(picture(index)) for index in (9, 0, 1)]
    other.save(tmp_path / "a.png", save_all=True, append_images=[first, *rest], duration=100, default_image=True)
    frames = list(open_source(tmp_path / "a.png").frames())
    assert [np.array_equal(frame.pixels, picture(index)) for index, frame in enumerate(frames)] == [True, True]


def test_one_that_is_cut_short(tmp_path):
    first, *rest = [Image.fromarray(picture(index)) for index in range(5)]
    first.save(tmp_path / "a.png", save_all=True, append_images=rest, duration=100)
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"a.png is damaged or cut short"):
        list(open_source(tmp_path / "a.png").frames())


def test_a_picture_that_stands_still_is_a_film_of_one_frame(tmp_path):
    Image.fromarray(picture(0)).save(tmp_path / "a.webp", lossless=True)
    assert len(list(open_source(tmp_path / "a.webp").frames())) == 1
