"""What was not touched stays as it was, what was is what was asked for, and all else of the film is copied."""

from __future__ import annotations

import re
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type
from PIL import Image

from flowxfer.errors import MissingExtraError, VideoError
from flowxfer.video import open_sink, open_source
from flowxfer.video.io.encoders import choose_encoder
from flowxfer.video.io.stream_format import Look
from tests.video.films import make_film, packets, picture, stored_planes

BOX = (21, 11, 40, 31)
LOSSLESS = [("ffv1", None, "mkv"), ("h264", 0, "mp4"), ("vp9", 0, "webm")]


def write(film, output, *, box=None, colour=(250, 10, 60), start=None, end=None, **options):
    """Write a film with a rectangle of one colour in every frame, or as it was."""
    source = open_source(film, start=start, end=end)
    with open_sink(output, source, segment_frames=9, **options) as sink:
        for frame in source.frames():
            pixels = frame.pixels
            if box:
                left, top, right, bottom = box
                pixels = pixels.copy()
                pixels[top:bottom, left:right] = colour
            sink.write(frame, pixels, box, record={}, state={})
    return output


def facts(path):
    """What a container says about its video."""
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        context = stream.codec_context
        frame = next(film.decode(video=0))
        matrix = frame.side_data.get(Type.DISPLAYMATRIX)
        return {
            "size": (frame.height, frame.width),
            "format": frame.format.name,
            "colours": (context.colorspace, context.color_range, context.color_primaries, context.color_trc),
            "aspect": stream.sample_aspect_ratio,
            "matrix": None if matrix is None else bytes(matrix),
        }


@pytest.mark.parametrize(("codec", "quality", "suffix"), LOSSLESS)
@pytest.mark.parametrize("name", ["h264", "vp9", "varying", "full_range", "lossless", "yuv444", "ten_bits", "rgb"])
def test_without_a_box_every_plane_byte_comes_back(films, tmp_path, name, codec, quality, suffix):
    if (codec, name) in {("vp9", "ten_bits"), ("vp9", "rgb"), ("h264", "rgb")}:
        pytest.skip(f"{codec} has no such pixels here")
    output = write(films[name], tmp_path / f"out.{suffix}", codec=codec, quality=quality)
    expected, got = stored_planes(films[name]), stored_planes(output)
    assert len(got) == len(expected)
    for before, after in zip(expected, got, strict=True):
        for old, new in zip(before, after, strict=True):
            if name in ("vp9", "lossless") and codec == "h264":  # odd sizes: an edge is repeated
                new = new[: old.shape[0], : old.shape[1]]
            assert np.array_equal(old, new)


@pytest.mark.parametrize("name", ["h264", "full_range", "lossless", "yuv444", "ten_bits", "rgb"])
@pytest.mark.parametrize("box", [BOX, (0, 0, 1, 1), (60, 40, 67, 49)])
def test_with_a_box_every_plane_byte_outside_comes_back(films, tmp_path, name, box):
    output = write(films[name], tmp_path / "out.mkv", codec="ffv1", box=box)
    left, top, right, bottom = box
    height, width = open_source(films[name]).size
    for before, after in zip(stored_planes(films[name]), stored_planes(output), strict=True):
        for old, new in zip(before, after, strict=True):
            step_y, step_x = round(height / old.shape[0]), round(width / old.shape[1])
            if name == "rgb":
                step_x, old, new = 1, old.reshape(height, width, 4), new.reshape(height, width, 4)
            outside = np.ones(old.shape, bool)
            outside[top // step_y : -(-bottom // step_y), left // step_x : -(-right // step_x)] = False
            assert outside.any()
            assert not outside.all()
            assert np.array_equal(old[outside], new[outside])
        assert not all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("pixel_format", "colours"),
    [
        ("yuv420p", (5, 1, 5, 6)),
        ("yuv420p", (1, 1, 1, 1)),
        ("yuv420p", (1, 2, 1, 1)),
        ("yuv444p", (1, 1, 1, 1)),
        ("yuv420p10le", (9, 1, 9, 14)),
        ("bgr0", (0, 2, 1, 13)),
    ],
)
def test_what_is_in_the_box_is_what_was_asked_for(tmp_path, pixel_format, colours):
    flat = np.full((49, 67, 3), (80, 120, 150), np.uint8)
    film = make_film(
        tmp_path / "flat.mkv", frames=3, size=(49, 67), codec="ffv1", pixel_format=pixel_format, colours=colours,
        pictures=[flat] * 3,
    )  # fmt: skip
    output = write(film, tmp_path / "out.mkv", codec="ffv1", box=(20, 10, 40, 30), colour=(190, 90, 60))
    for frame in open_source(output).frames():
        # At the rim chroma is shared with the outside; within, three roundings add up.
        assert np.abs(frame.pixels[12:28, 22:38].astype(int) - (190, 90, 60)).max() <= 4
        assert np.abs(frame.pixels[34:].astype(int) - flat[34:]).max() <= 3


def test_a_pixel_that_does_not_change_in_a_box_keeps_its_bits(films, tmp_path):
    source = open_source(films["ten_bits"])
    with open_sink(tmp_path / "out.mkv", source, codec="ffv1") as sink:
        for frame in source.frames():
            sink.write(frame, frame.pixels.copy(), (0, 0, 96, 64), record={}, state={})
    for before, after in zip(stored_planes(films["ten_bits"]), stored_planes(tmp_path / "out.mkv"), strict=True):
        assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("name", ["ten_bits", "full_range", "silent", "h264"])
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_how_pictures_are_stored_is_kept(films, tmp_path, name, suffix):
    assert facts(write(films[name], tmp_path / f"out.{suffix}")) == facts(films[name])


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("rotation", [(90, False, False), (180, False, False), (270, False, False), (90, True, False)])
def test_a_turned_film_is_edited_upright_and_stored_turned(tmp_path, rotation, suffix):
    if suffix == "mkv" and rotation[1]:
        pytest.skip("Matroska turns but does not mirror")
    film = make_film(tmp_path / "turned.mp4", frames=12, size=(48, 80), rotation=rotation)
    output = write(film, tmp_path / f"out.{suffix}", box=(4, 6, 24, 30), colour=(190, 90, 60), quality=0)
    assert facts(output) == facts(film)
    before, after = (list(open_source(path).frames()) for path in (film, output))
    for old, new in zip(before, after, strict=True):
        assert np.abs(new.pixels[8:28, 6:22].astype(int) - (190, 90, 60)).mean() <= 4
        assert np.array_equal(old.pixels[32:], new.pixels[32:])


@pytest.mark.parametrize(("suffix", "rotation"), [("webm", (90, False, False)), ("mkv", (90, True, False))])
def test_where_the_container_does_not_turn_the_pictures_are_upright(tmp_path, caplog, suffix, rotation):
    film = make_film(tmp_path / "turned.mp4", frames=3, size=(48, 80), rotation=rotation, aspect=Fraction(4, 3))
    output = write(film, tmp_path / f"out.{suffix}", quality=0)
    assert facts(output)["matrix"] is None
    assert facts(output)["size"] == ((80, 48) if suffix == "mkv" else (107, 48))
    assert facts(output)["aspect"] == (Fraction(3, 4) if suffix == "mkv" else 1)
    assert ("pixels become square in a .webm film of" in caplog.text) == (suffix == "webm")
    for old, new in zip(open_source(film).frames(), open_source(output).frames(), strict=True):
        assert np.abs(old.pixels.astype(int) - new.pixels).mean() < 4


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("name", ["h264", "varying", "silent", "negative", "vp9", "late", "one"])
def test_times_are_kept(films, tmp_path, name, suffix):
    if (name, suffix) == ("late", "mov"):
        pytest.skip("without its sound, which is Opus, the film begins with its first frame")
    expected = [frame.time for frame in open_source(films[name]).frames()]
    output = write(films[name], tmp_path / f"out.{suffix}")
    assert [frame.time for frame in open_source(output).frames()] == expected


@pytest.mark.parametrize("suffix", ["mkv", "webm"])
@pytest.mark.parametrize("name", ["h264", "varying", "silent", "vp9", "late", "one"])
def test_times_are_kept_to_the_millisecond(films, tmp_path, name, suffix):
    expected = [frame.time for frame in open_source(films[name]).frames()]
    output = write(films[name], tmp_path / f"out.{suffix}")
    got = [frame.time for frame in open_source(output).frames()]
    assert len(got) == len(expected)
    assert max(abs(a - b) for a, b in zip(got, expected, strict=True)) <= Fraction(1, 1000)


def test_decoding_times_ascend_and_lie_before_what_is_shown(films, tmp_path):
    for name in ("h264", "varying"):
        with av.open(str(write(films[name], tmp_path / f"{name}.mp4"))) as film:
            found = [packet for packet in film.demux(video=0) if packet.pts is not None]
        decoded = [packet.dts for packet in found]
        assert decoded == sorted(set(decoded))
        assert all(packet.dts <= packet.pts for packet in found)
        assert found[0].is_keyframe
        assert sum(packet.is_keyframe for packet in found) >= len(found) // 9  # one a segment


def test_sound_and_subtitles_are_the_same_packets(films, tmp_path):
    for name, suffix, kinds in (
        ("h264", "mp4", [("audio", 0), ("audio", 1), ("subtitle", 0)]),
        ("h264", "mov", [("audio", 0), ("audio", 1), ("subtitle", 0)]),
        ("mkv", "mkv", [("audio", 0), ("subtitle", 0)]),
        ("vp9", "webm", [("audio", 0)]),
    ):
        output = write(films[name], tmp_path / f"{name}.{suffix}")
        for kind, track in kinds:
            assert packets(output, kind, track) == packets(films[name], kind, track)
            assert len(packets(output, kind, track)) > 1


def test_tags_and_chapters_are_kept(films, tmp_path):
    with av.open(str(write(films["h264"], tmp_path / "out.mp4"))) as film:
        assert film.metadata["title"] == "A film"
        assert [stream.language for stream in film.streams.audio] == ["eng", "deu"]
        assert [(c["start"] * c["time_base"], c["metadata"]["title"]) for c in film.chapters()] == [
            (0, "One"),
            (1, "Two"),
        ]


def test_what_the_container_cannot_hold_is_left_out_with_a_warning(films, tmp_path, caplog):
    output = write(films["mkv"], tmp_path / "out.mp4")
    assert re.search(r"the subtitle stream 2 \(\w+, eng\) of .*mkv.mkv is left out of the .mp4 film: ", caplog.text)
    assert len(caplog.records) == 1
    assert [sound for _, sound in packets(output, "audio")] == [sound for _, sound in packets(films["mkv"], "audio")]
    with av.open(str(output)) as film:
        assert [stream.type for stream in film.streams] == ["video", "audio"]


def test_a_range_takes_the_sound_with_it(films, tmp_path):
    output = write(films["h264"], tmp_path / "out.mp4", start=0.62, end=1.5)
    shown = [Fraction(i, 25) for i in range(60) if 0.62 <= i / 25 < 1.5]
    assert [frame.time for frame in open_source(output).frames()] == [time - shown[0] for time in shown]
    wanted = [(time - shown[0], sound) for time, sound in packets(films["h264"], "audio") if shown[0] <= time < 1.5]
    got = packets(output, "audio")
    assert [sound for _, sound in got] == [sound for _, sound in wanted]
    assert max(abs(a - b) for (a, _), (b, _) in zip(got, wanted, strict=True)) <= Fraction(1, 48_000)
    with av.open(str(output)) as film:
        chapters = [(c["start"] * c["time_base"], c["metadata"]["title"]) for c in film.chapters()]
    assert chapters == [(0, "One"), (Fraction(36, 100), "Two")]


def test_pictures_to_a_film_and_back(tmp_path):
    pictures = [picture(i, 49, 67) for i in range(30)]
    source = open_source(pictures, rate=30)
    with open_sink(tmp_path / "film.mkv", source, codec="ffv1") as sink:
        for frame in source.frames():
            sink.write(frame, frame.pixels, (0, 0, 67, 49), record={}, state={})
    back = list(open_source(tmp_path / "film.mkv").frames())
    assert all(np.array_equal(a.pixels, b) for a, b in zip(back, pictures, strict=True))
    write(tmp_path / "film.mkv", tmp_path / "frames")
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == [f"frame_{i:06}.png" for i in range(1, 31)]
    assert all(
        np.array_equal(Image.open(tmp_path / "frames" / name), b) for name, b in zip(names, pictures, strict=True)
    )


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_a_film_of_pictures_says_which_colours_it_has(tmp_path, suffix):
    source = open_source([picture(i) for i in range(5)])
    with open_sink(tmp_path / f"film.{suffix}", source) as sink:
        for frame in source.frames():
            sink.write(frame, frame.pixels, None, record={}, state={})
    assert facts(tmp_path / f"film.{suffix}")["colours"] == (1, 1, 1, 1)
    assert facts(tmp_path / f"film.{suffix}")["format"] == "yuv420p"
    for frame in open_source(tmp_path / f"film.{suffix}").frames():
        assert np.abs(frame.pixels.astype(int) - picture(frame.index)).mean() < 5


def test_pictures_keep_their_names(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("b10.png", "b9.jpg", "a.webp"):
        Image.fromarray(picture(3)).save(tmp_path / "in" / name)
    output = write(tmp_path / "in", tmp_path / "out")
    assert sorted(path.name for path in output.iterdir()) == ["a.png", "b10.png", "b9.png"]
    with pytest.raises(VideoError, match=r"expected a name of its own for each output, got"):
        open_sink(tmp_path / "in", open_source(tmp_path / "in"), overwrite=True)


def test_names_that_would_be_the_same_keep_their_suffixes(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "a.webp"):
        Image.fromarray(picture(3)).save(tmp_path / "in" / name)
    output = write(tmp_path / "in", tmp_path / "out")
    assert sorted(path.name for path in output.iterdir()) == ["a.png.png", "a.webp.png"]


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1", "ffv1", "prores_ks", "mpeg4"])
def test_codecs(films, tmp_path, codec):
    film = films["varying" if codec == "ffv1" else "silent"]  # ffv1 has the aspect in its pictures, says PyAV to nobody
    output = write(film, tmp_path / "out.mkv", codec=codec)
    before, after = (list(open_source(path).frames()) for path in (film, output))
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        assert np.abs(old.pixels.astype(int) - new.pixels).mean() < 8


@pytest.mark.parametrize(
    ("pixel_format", "name", "codec", "message"),
    [
        (
            "yuv420p10le",
            "a.webm",
            None,
            "in a .webm film of libvpx-vp9, the source's have 10 and 8 are kept; av1 keeps",
        ),
        ("yuv420p10le", "a.mp4", "vp9", "10 and 8 are kept; h264 or hevc or av1 or ffv1 keeps more"),
        ("yuv422p12le", "a.mp4", "h264", "12 and 10 are kept; hevc or ffv1 keeps more"),
        ("yuv420p12le", "a.webm", "av1", "12 and 10 are kept; ffv1 in .mkv keeps more"),
        ("yuv420p10le", "a.mkv", "mpeg4", "10 and 8 are kept; h264 or hevc or av1 or ffv1 keeps more"),
    ],
)
def test_bits_that_an_encoder_cannot_keep_are_lost_with_a_warning(caplog, pixel_format, name, codec, message):
    look = Look(64, 96, rate=Fraction(25), time_base=Fraction(1, 25), pixel_format=pixel_format)
    choose_encoder(Path(name), look, codec)
    assert [message in text for text in caplog.messages] == [True]


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1", "prores_ks"])
def test_ten_bits_are_kept_wherever_the_encoder_takes_them(films, tmp_path, caplog, codec):
    output = write(films["ten_bits"], tmp_path / "out.mkv", codec=codec)
    assert facts(output)["format"] in ("yuv420p10le", "yuv422p10le")
    assert caplog.messages == []


def test_lower_is_better(films, tmp_path):
    sizes = [write(films["silent"], tmp_path / f"{q}.mp4", quality=q).stat().st_size for q in (10, 18, 40)]
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[1] == write(films["silent"], tmp_path / "default.mp4").stat().st_size


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("out.avi", {}, r"expected a film's name to end in .mp4, .m4v, .mov, .mkv, .webm, or a folder, got .*out.avi"),
        ("out.mp4", {"codec": "nonsense"}, r"expected a video codec such as h264, .*, got 'nonsense'"),
        ("out.mp4", {"codec": "aac"}, r"expected a video codec such as h264, .*, got 'aac'"),
        ("out.webm", {"codec": "h264"}, r"a .webm film cannot hold h264; .webm holds VP9 and AV1"),
        ("out.mp4", {"quality": 52}, r"expected a quality from 0, the best, to 51 for libx264, got 52"),
        ("out.mkv", {"codec": "ffv1", "quality": 3}, r"expected no quality for ffv1, which has none, got 3"),
        (
            "out.mov",
            {"codec": "dnxhd"},
            r"the encoder dnxhd refuses 96x64 pixels of \w+ with time base .*; choose another",
        ),
    ],
)
def test_what_cannot_be_written_is_said_before_the_work(films, tmp_path, name, options, message):
    with pytest.raises(VideoError, match=message):
        open_sink(tmp_path / name, open_source(films["h264"]), **options)
    assert list(tmp_path.iterdir()) == []


def test_without_pyav_one_sentence_names_the_extra(tmp_path, monkeypatch):
    source = open_source([picture(0)])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"needs av, which is not installed; pip install 'flowxfer\[video\]'"):
        open_sink(tmp_path / "out.mp4", source)


def test_without_x264_a_film_is_av1_or_vp9(films, tmp_path, monkeypatch):
    """An FFmpeg that may be handed on under the LGPL has no x264."""
    for lacking, expected in (({"libx264"}, "av1"), ({"libx264", "libsvtav1"}, "vp9")):
        monkeypatch.setattr(av, "codecs_available", av.codecs_available - lacking)
        output = write(films["h264"], tmp_path / f"{expected}.mp4")
        with av.open(str(output)) as film:
            assert film.streams.video[0].codec_context.codec.canonical_name == expected
