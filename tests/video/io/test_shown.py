"""What films say of how they are to be seen: pixels that are not square, fields, HDR, transparency, times."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from flowxfer import images
from flowxfer.video import open_sink, open_source
from flowxfer.video.io.fields import order_of
from tests.video.films import make_film, picture, stored_planes, times

BOTTOM_FIRST, TOP_FIRST, PROGRESSIVE = 3, 2, 1


def write(film, output, edit=lambda pixels: None, *, deinterlace=False, **options):
    """Write a film whose pixels are edited in place, in a box around what changed."""
    source = open_source(film, deinterlace=deinterlace)
    with open_sink(output, source, **options) as sink:
        for frame in source.frames():
            pixels = frame.pixels.copy()
            edit(pixels)
            rows, columns = np.nonzero((pixels != frame.pixels).any(2))
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None
            sink.write(frame, pixels, box, record={}, state={})
    return output


# ---------------------------------------------------------------- pixels that are not square

SQUEEZES = [((64, 90), Fraction(16, 15)), ((64, 72), Fraction(4, 3)), ((48, 96), Fraction(3, 4))]


@pytest.mark.parametrize(("size", "aspect"), SQUEEZES)
@pytest.mark.parametrize("rotation", [None, (90, False, False), (180, False, False)])
def test_frames_are_as_they_are_shown(tmp_path, size, aspect, rotation):
    """A square of square pixels is one again, wherever it is and however the film is turned."""
    height, width = size
    across, down = max(aspect, 1), max(1 / aspect, 1)
    shown = np.full((round(height * down), round(width * across), 3), 60, np.uint8)
    shown[20:44, 30:54] = 200
    stored = np.asarray(Image.fromarray(shown).resize((width, height), Image.Resampling.BOX))
    film = make_film(
        tmp_path / "film.mp4", frames=1, size=size, codec="libx264", pixel_format="yuv444p", aspect=aspect,
        options={"qp": "0"}, pictures=[stored], rotation=rotation,
    )  # fmt: skip
    source = open_source(film)
    turn = source.look.turn
    (frame,) = source.frames()
    assert source.size == frame.shape[:2] == frame.pixels.shape[:2] == turn.size(*shown.shape[:2])
    assert np.abs(frame.pixels.astype(int) - turn.upright(shown)).mean() < 4
    assert frame.grey.shape == source.size
    assert np.array_equal(frame.part(slice(5, 30), slice(7, 40)), frame.pixels[5:30, 7:40])


@pytest.mark.parametrize(("size", "aspect"), SQUEEZES)
@pytest.mark.parametrize("rotation", [None, (90, False, False)])
def test_an_edit_goes_where_it_is_shown_and_nowhere_else(tmp_path, size, aspect, rotation):
    film = make_film(
        tmp_path / "film.mp4", frames=2, size=size, pixel_format="yuv444p", aspect=aspect, options={"qp": "0"},
        rotation=rotation,
    )  # fmt: skip

    def paint(pixels):
        pixels[16:34, 20:40] = (190, 90, 60)

    output = write(film, tmp_path / "out.mp4", paint, quality=0)
    before, after = (next(open_source(path).frames()) for path in (film, output))
    assert np.abs(after.pixels[20:30, 24:36].astype(int) - (190, 90, 60)).mean() < 4
    outside = np.ones(before.pixels.shape[:2], bool)
    outside[12:38, 16:44] = False
    assert np.array_equal(before.pixels[outside], after.pixels[outside])
    with av.open(str(output)) as made:
        assert made.streams.video[0].sample_aspect_ratio == aspect
        assert (made.streams.video[0].height, made.streams.video[0].width) == size


def test_without_an_edit_every_byte_comes_back(tmp_path):
    film = make_film(tmp_path / "film.mkv", frames=2, size=(64, 90), codec="ffv1", aspect=Fraction(16, 15))
    output = write(film, tmp_path / "out.mkv", codec="ffv1")
    for old, new in zip(stored_planes(film), stored_planes(output), strict=True):
        assert all(np.array_equal(*planes) for planes in zip(old, new, strict=True))


def test_pictures_are_written_as_they_are_shown(tmp_path):
    film = make_film(tmp_path / "film.mp4", frames=1, size=(64, 72), aspect=Fraction(4, 3))
    write(film, tmp_path / "frames")
    assert images.load(tmp_path / "frames" / "frame_000001.png").shape == (64, 96, 3)


@pytest.mark.parametrize(("codec", "suffix"), [("vp9", "webm"), ("vp9", "mkv"), ("av1", "mkv"), ("prores_ks", "mkv")])
def test_where_nobody_can_be_told_pixels_become_square(tmp_path, caplog, codec, suffix):
    film = make_film(tmp_path / "film.mp4", frames=2, size=(64, 72), aspect=Fraction(4, 3))
    output = write(film, tmp_path / f"out.{suffix}", codec=codec)
    assert f"pixels become square in a .{suffix} film of {codec}" in caplog.text
    before, after = (next(open_source(path).frames()).pixels for path in (film, output))
    assert np.abs(before.astype(int) - after).mean() < 6


def test_where_the_container_does_not_turn_squeezed_pictures_stay_squeezed(tmp_path):
    film = make_film(
        tmp_path / "film.mp4", frames=1, size=(64, 72), aspect=Fraction(4, 3), rotation=(90, True, False),
        options={"qp": "0"},
    )  # fmt: skip
    before, after = (open_source(path) for path in (film, write(film, tmp_path / "out.mkv", quality=0)))
    assert (after.look.height, after.look.width, after.look.aspect) == (72, 64, Fraction(3, 4))
    old, new = next(before.frames()).pixels, next(after.frames()).pixels
    assert np.abs(old.astype(int) - new).mean() < 4


# ---------------------------------------------------------------- fields


def interlaced(path, order, codec="libx264", frames=6, size=(64, 96)):
    """A film whose every field is of a moment of its own."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.flags |= 0x00040000 | 0x20000000  # interlaced DCT and motion
        stream.options = {"qp": "0"} if codec == "libx264" else {"qscale": "2"}
        graph = av.filter.Graph()
        source = graph.add_buffer(width=size[1], height=size[0], format="yuv420p", time_base=Fraction(1, 25))
        graph.link_nodes(source, graph.add("setfield", order), graph.add("buffersink")).configure()
        for index in range(frames):
            woven = picture(2 * index, *size)
            woven[order == "tff" :: 2] = picture(2 * index + 1, *size)[order == "tff" :: 2]
            frame = av.VideoFrame.from_ndarray(woven, format="rgb24").reformat(format="yuv420p", threads=1)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            graph.push(frame)
            field = graph.pull()
            field.pts, field.time_base = index, Fraction(1, 25)
            film.mux(stream.encode(field))
        film.mux(stream.encode())
    return path


def orders(path):
    with av.open(str(path)) as film:
        return [order_of(frame) for frame in film.decode(video=0)]


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize(("order", "number"), [("tff", TOP_FIRST), ("bff", BOTTOM_FIRST)])
@pytest.mark.parametrize(("target", "to"), [("mp4", "h264"), ("mkv", "h264"), ("mov", "prores_ks"), ("mkv", "ffv1")])
def test_fields_are_kept_apart(tmp_path, codec, order, number, target, to):
    film = interlaced(tmp_path / "film.mkv", order, codec)
    assert orders(film) == [number] * 6
    assert open_source(film).look.fields == number

    def paint(pixels):
        pixels[4:20, 4:20] = 200

    output = write(film, tmp_path / f"out.{target}", paint, codec=to)
    assert orders(output) == [number] * 6
    assert [float(t) for t in times(output)] == pytest.approx([i / 25 for i in range(6)], abs=2e-3)


def test_h264_that_is_lossless_keeps_each_row_of_a_field(tmp_path):
    film = interlaced(tmp_path / "film.mkv", "tff")
    output = write(film, tmp_path / "out.mp4", quality=0)
    for old, new in zip(stored_planes(film), stored_planes(output), strict=True):
        assert all(np.array_equal(*planes) for planes in zip(old, new, strict=True))


def test_odd_heights_of_fields(tmp_path):
    """486 lines, as analogue tapes have: each field for itself takes whole chroma samples."""
    film = interlaced(tmp_path / "film.mkv", "bff", "mpeg2video", frames=2, size=(54, 96))
    output = write(film, tmp_path / "out.mp4")
    assert orders(output) == [BOTTOM_FIRST] * 2
    assert open_source(output).size == (56, 96)


@pytest.mark.parametrize(("codec", "suffix"), [("hevc", "mp4"), ("vp9", "webm")])
def test_where_fields_cannot_be_kept_that_is_said_before_the_work(tmp_path, caplog, codec, suffix):
    film = interlaced(tmp_path / "film.mkv", "tff")
    source = open_source(film)
    sink = open_sink(tmp_path / f"out.{suffix}", source, codec=codec)
    assert f"fields are stored as whole pictures in a .{suffix} film of {codec}" in caplog.text
    sink.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)


def test_whole_pictures_on_demand(tmp_path, caplog):
    """A film that was taken for this test field by field: whole pictures are as smooth as those that it was made of."""
    film = interlaced(tmp_path / "film.mkv", "tff")
    output = write(film, tmp_path / "out.mp4", deinterlace=True, quality=0)
    assert orders(output) == [PROGRESSIVE] * 6
    assert times(output) == [Fraction(i, 25) for i in range(6)]
    combed, whole = (list(open_source(path).frames()) for path in (film, output))
    for index, (before, after) in enumerate(zip(combed, whole, strict=True)):
        truth = picture(2 * index).astype(int)
        assert np.abs(after.pixels - truth).mean() < np.abs(before.pixels - truth).mean()
    assert caplog.text == ""


def test_progressive_films_are_not_touched_by_it(films):
    plain, whole = (open_source(films["h264"], deinterlace=each) for each in (False, True))
    for one, other in zip(plain.frames(), whole.frames(), strict=True):
        assert one.time == other.time
        assert np.array_equal(one.pixels, other.pixels)
    assert plain.fingerprint != whole.fingerprint


# ---------------------------------------------------------------- HDR

DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
VALUES = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329, 0.0001, 1000)


@pytest.fixture(scope="module")
def hdr(tmp_path_factory):
    options = {"x265-params": f"log-level=error:master-display={DISPLAY}:max-cll=1000,400"}
    return make_film(
        tmp_path_factory.mktemp("hdr") / "hdr.mkv", frames=3, codec="libx265", pixel_format="yuv420p10le",
        colours=(9, 1, 9, 16), options=options,
    )  # fmt: skip


@pytest.mark.parametrize(("codec", "suffix"), [("h264", "mp4"), ("hevc", "mp4"), ("hevc", "mkv"), ("av1", "mp4")])
@pytest.mark.parametrize("quality", [None, 0])
def test_the_mastering_display_and_light_levels_are_kept(hdr, tmp_path, caplog, codec, suffix, quality):
    assert open_source(hdr).look.light.display == pytest.approx(VALUES)
    light = open_source(write(hdr, tmp_path / f"out.{suffix}", codec=codec, quality=quality)).look.light
    assert light.display == pytest.approx(VALUES, abs=5e-5)
    assert light.most == (1000, 400)
    assert caplog.text == ""


@pytest.mark.parametrize(("codec", "suffix"), [("ffv1", "mkv"), ("vp9", "webm")])
def test_where_they_cannot_be_kept_that_is_said(hdr, tmp_path, caplog, codec, suffix):
    write(hdr, tmp_path / f"out.{suffix}", codec=codec)
    assert f"what {hdr} says of HDR's mastering display, HDR's light levels is lost" in caplog.text


def test_a_film_that_says_what_its_source_says_is_not_warned_of(films, tmp_path, caplog):
    write(films["h264"], tmp_path / "out.mp4")
    write(films["varying"], tmp_path / "out.mkv")
    assert caplog.text == ""


# ---------------------------------------------------------------- transparency, time codes, times


def see_through(path, codec, pixels):
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, pixels
        clear = np.dstack([picture(0), np.full((64, 96), 255, np.uint8)])
        clear[:, :48, 3] = 0
        film.mux(stream.encode(av.VideoFrame.from_ndarray(clear, format="rgba").reformat(format=pixels)))
        film.mux(stream.encode())
    return path


TRANSPARENT = [("prores_ks", "yuva444p10le", "mov"), ("qtrle", "argb", "mov"), ("png", "rgba", "mov")]
TRANSPARENT += [("ffv1", "yuva420p", "mkv"), ("libvpx-vp9", "yuva420p", "webm")]


@pytest.mark.parametrize(("codec", "pixels", "suffix"), TRANSPARENT)
def test_lost_transparency_is_said_before_the_work(tmp_path, caplog, codec, pixels, suffix):
    film = see_through(tmp_path / f"film.{suffix}", codec, pixels)
    source = open_source(film)
    assert source.look.transparent
    sink = open_sink(tmp_path / "out.mp4", source)
    assert "what is transparent becomes opaque in a .mp4 film of libx264; ffv1 in .mkv and prores_ks" in caplog.text
    sink.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)


@pytest.mark.parametrize(("codec", "pixels", "suffix"), TRANSPARENT[:4])
def test_transparency_is_kept_where_it_can_be(tmp_path, caplog, codec, pixels, suffix):
    film = see_through(tmp_path / f"film.{suffix}", codec, pixels)

    def paint(colours):
        colours[20:40, 10:30] = (190, 90, 60)

    output = write(film, tmp_path / "out.mkv", paint, codec="ffv1")
    before, after = (
        np.asarray(next(av.open(str(path)).decode(video=0)).reformat(format="rgba").to_ndarray())
        for path in (film, output)
    )
    assert np.array_equal(before[..., 3], after[..., 3])
    assert caplog.text == ""


def test_opaque_films_of_such_codecs_are_not_warned_of(tmp_path, caplog):
    film = make_film(tmp_path / "film.mov", frames=1, codec="qtrle", pixel_format="argb", options={})
    write(film, tmp_path / "out.mp4")
    assert caplog.text == ""


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_avi_with_b_frames_shows_each_frame_as_long(tmp_path, codec):
    """AVI knows when pictures are decoded, and not when they are shown."""
    options = {"bf": "2", "g": "12"} | ({"x264-params": "b-adapt=0:scenecut=0"} if codec == "libx264" else {})
    film = make_film(tmp_path / "film.avi", frames=24, codec=codec, options=options)
    frames = list(open_source(film).frames())
    assert np.diff([float(frame.time) for frame in frames]) == pytest.approx(1 / 25)
    shown = [np.abs(frame.pixels.astype(int) - picture(i)).mean() for i, frame in enumerate(frames)]
    assert max(shown) < 12
    assert np.diff([float(time) for time in times(write(film, tmp_path / "out.mp4"))]) == pytest.approx(1 / 25)


def test_a_time_code_is_kept_or_missed(tmp_path, caplog):
    film = tmp_path / "film.mov"
    with av.open(str(film), "w") as new:
        stream = new.add_stream("libx264", rate=25)
        stream.height, stream.width = 64, 96
        stream.metadata["timecode"] = "01:02:03:04"
        for index in range(5):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            new.mux(stream.encode(frame))
        new.mux(stream.encode())
    with av.open(str(write(film, tmp_path / "out.mov"))) as made:
        assert made.streams.video[0].metadata["timecode"] == "01:02:03:04"
    assert caplog.text == ""
    write(film, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as made:
        kept = "timecode" in {name.lower() for name in {**made.metadata, **made.streams.video[0].metadata}}
    assert kept or "its time code is lost" in caplog.text
