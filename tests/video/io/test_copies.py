"""What the join cannot do is known before the first frame, and what FFmpeg's own copy mends is mended."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from flowxfer.errors import VideoError
from flowxfer.video import open_sink, open_source
from tests.video.films import make_film, packets, times

QUICK = {"g": "12", "bf": "2", "preset": "ultrafast", "x264-params": "b-adapt=0:scenecut=0"}


def unchanged(film, output, **options):
    source = open_source(film, **options)
    with open_sink(output, source) as sink:
        for frame in source.frames():
            sink.write(frame, frame.pixels, None, record={}, state={})
    return output


def remuxed(film, output, change=lambda kind, number, packet: None):
    """Copy a film packet by packet, each after a change."""
    with av.open(str(film)) as source, av.open(str(output), "w") as target:
        copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        numbers = dict.fromkeys(copies, 0)
        for packet in source.demux():
            if not packet.size:
                continue
            index = packet.stream.index
            change(packet.stream.type, numbers[index], packet)
            numbers[index] += 1
            packet.stream = copies[index]
            target.mux(packet)
    return output


# ---------------------------------------------------------------- clocks that start again


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """Two transport streams of a second each, joined as cat joins them, with sound and without."""
    folder = tmp_path_factory.mktemp("joined")
    for name, sounds in (("sound", ("aac",)), ("silent", ())):
        part = make_film(folder / "part.ts", frames=25, options=QUICK, sounds=sounds)
        (folder / f"{name}.ts").write_bytes(2 * part.read_bytes())
    return folder


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("name", ["sound", "silent"])
def test_a_clock_that_starts_again_runs_on(joined, tmp_path, name, suffix):
    output = unchanged(joined / f"{name}.ts", tmp_path / f"out.{suffix}")
    shown = times(output)
    assert len(shown) == 50
    steps = np.diff([float(time) for time in shown])
    assert steps == pytest.approx(0.04, abs=0.003)  # Matroska counts milliseconds
    if name == "sound":
        with av.open(str(joined / "sound.ts")) as film:
            count = sum(packet.size > 0 for packet in film.demux(audio=0))
        heard = [time for time, _ in packets(output, "audio")]
        assert len(heard) == count
        assert heard == sorted(heard)
        # Picture and sound of the second part are as far apart as those of the first: a packet may be moved.
        first, second = (min(heard, key=lambda t: abs(t - at)) - at for at in (shown[0], shown[25]))
        assert abs(first - second) < Fraction(1, 20)


@pytest.mark.parametrize("suffix", ["vob", "mpg"])
def test_sound_that_comes_late_in_the_file_belongs_to_its_part(tmp_path, suffix):
    """Where two program streams meet, the last sound of the first lies behind the first pictures of the second."""
    sound = {"vob": "ac3", "mpg": "mp2"}[suffix]
    part = make_film(tmp_path / f"part.{suffix}", frames=25, codec="mpeg2video", sounds=(sound,), options={})
    (tmp_path / f"both.{suffix}").write_bytes(2 * part.read_bytes())
    output = unchanged(tmp_path / f"both.{suffix}", tmp_path / "out.mkv")
    assert np.diff([float(time) for time in times(output)]) == pytest.approx(0.04, abs=0.003)
    heard = [float(time) for time, _ in packets(output, "audio")]
    assert max(np.diff(heard)) < 0.1


def test_a_range_of_a_film_whose_clock_starts_again(joined, tmp_path):
    assert len(times(unchanged(joined / "sound.ts", tmp_path / "first.mp4", end=0.5))) in (12, 13)
    assert len(times(unchanged(joined / "sound.ts", tmp_path / "second.mp4", start=1.2))) in (20, 21)
    assert open_source(joined / "sound.ts").count == 50


def test_a_clock_that_jumps_ahead_runs_on(tmp_path):
    """A recorder that was moved to another channel: hours lie between two of its packets, and none were recorded."""
    film = make_film(tmp_path / "part.ts", frames=25, options=QUICK)

    def later(kind, number, packet):
        packet.pts, packet.dts = packet.pts + 90_000 * 3600, packet.dts + 90_000 * 3600

    other = remuxed(film, tmp_path / "later.ts", later)
    (tmp_path / "both.ts").write_bytes(film.read_bytes() + other.read_bytes())
    shown = times(unchanged(tmp_path / "both.ts", tmp_path / "out.mp4"))
    assert np.diff([float(time) for time in shown]) == pytest.approx(0.04, abs=0.001)


def test_a_clock_that_runs_on_is_left_alone(films, tmp_path):
    ts = make_film(tmp_path / "a.ts", frames=25, options=QUICK, sounds=("aac",))
    assert open_source(ts).clock.breaks == {}
    assert open_source(films["h264"]).clock.breaks == {}


# ---------------------------------------------------------------- sound with times of its own


@pytest.fixture(scope="module")
def sloppy(tmp_path_factory):
    """Films whose sound repeats a time, and steps back in time."""
    folder = tmp_path_factory.mktemp("sloppy")
    film = make_film(folder / "film.mkv", frames=25, options=QUICK, sounds=("aac",))
    last = [0]

    def repeats(kind, number, packet):
        if kind == "audio" and number == 10:
            packet.pts = packet.dts = last[0]
        last[0] = packet.dts if kind == "audio" else last[0]

    def stands(kind, number, packet):
        if kind == "audio" and number > 20:
            packet.pts = packet.dts = last[0]
        last[0] = packet.dts if kind == "audio" else last[0]

    remuxed(film, folder / "repeats.mkv", repeats)
    remuxed(film, folder / "stands.mkv", stands)
    return folder


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("name", ["repeats", "stands"])
def test_times_that_repeat_are_moved_by_a_tick(sloppy, tmp_path, caplog, name, suffix):
    source = sloppy / f"{name}.mkv"
    output = unchanged(source, tmp_path / f"out.{suffix}")
    assert len(times(output)) == 25
    before, after = packets(source, "audio"), packets(output, "audio")
    assert [data for _, data in after] == [data for _, data in before]
    heard = [time for time, _ in after]
    assert all(b > a or (suffix == "mkv" and b == a) for a, b in itertools.pairwise(heard))
    shift = heard[0] - before[0][0]
    assert max(abs(new - old - shift) for new, (old, _) in zip(heard, before, strict=True)) < Fraction(3, 1000)
    assert ("repeat or step back" in caplog.text) == (suffix != "mkv")


# ---------------------------------------------------------------- what the container refuses


@pytest.mark.parametrize("channels", ["mono", "stereo", "5.1"])
def test_channels_that_nobody_names_are_the_usual_ones(tmp_path, channels):
    film = tmp_path / "film.mkv"
    with av.open(str(film), "w") as new:
        video, sound = new.add_stream("libx264", rate=25), new.add_stream("pcm_s16le", rate=48_000, layout=channels)
        video.width, video.height = 96, 64
        count = sound.codec_context.layout.nb_channels
        for index in range(5):
            new.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8), format="rgb24")))
            piece = av.AudioFrame.from_ndarray(np.zeros((1, 1920 * count), np.int16), format="s16", layout=channels)
            piece.sample_rate, piece.pts = 48_000, 1920 * index
            new.mux(sound.encode(piece))
        new.mux(video.encode())
    with av.open(str(film)) as made:
        assert made.streams.audio[0].layout.name.endswith(" channels")
    output = unchanged(film, tmp_path / "out.mp4")
    assert [data for _, data in packets(output, "audio")]
    with av.open(str(output)) as made:
        assert made.streams.audio[0].layout.name == ("1 channels" if channels == "mono" else channels)


def test_what_a_container_refuses_is_said_before_the_work(films, tmp_path, caplog):
    source = open_source(films["h264"])
    sink = open_sink(tmp_path / "out.webm", source)
    assert "the audio stream 1 (aac, eng) of" in caplog.text
    assert "is left out of the .webm film: 'webm' format does not support 'aac' codec" in caplog.text
    sink.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)


def test_ffmpegs_reason_is_in_the_sentence(films, tmp_path, monkeypatch):
    """Whatever the trial does not find: the error of the join says what FFmpeg says, and where the work is."""

    def backwards(packet, stream, last):
        packet.pts = packet.dts = 5
        return False

    source = open_source(films["h264"])
    sink = open_sink(tmp_path / "out.mp4", source)
    monkeypatch.setattr("flowxfer.video.io.copies._ascend", backwards)
    sink.__enter__()
    for frame in source.frames():
        sink.write(frame, frame.pixels, None, record={}, state={})
    refusal = r"FFmpeg refuses it: .*non monotonically increasing dts.*; what was done is kept in .*\.out\.mp4\.partial"
    with pytest.raises(VideoError, match=refusal):
        sink.__exit__(None, None, None)


# ---------------------------------------------------------------- covers, and other pictures


def with_cover(path, codec="mjpeg"):
    """A film with a cover at its end, in MP4's way or in Matroska's."""
    kind = {"mjpeg": "JPEG", "png": "PNG"}[codec]
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 40, 90)).save(buffer, kind)
    film = make_film(path.with_name("plain.mp4"), frames=10, options=QUICK, sounds=("aac",))
    with av.open(str(film)) as source, av.open(str(path), "w") as target:
        copies = [target.add_stream_from_template(stream) for stream in source.streams]
        if path.suffix == ".mkv":
            target.add_attachment(f"cover.{codec}", f"image/{kind.lower()}", buffer.getvalue())
        else:
            cover = target.add_mux_stream(codec, width=32, height=32, time_base=Fraction(1, 90_000))
            cover.disposition = Disposition.attached_pic
            packet = av.Packet(buffer.getvalue())
            packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 90_000)
            target.mux(packet)
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    return path, buffer.getvalue()


def covers(path):
    with av.open(str(path)) as film:
        held = [stream for stream in film.streams if stream.disposition & Disposition.attached_pic]
        return [next(bytes(packet) for packet in film.demux(stream)) for stream in held]


@pytest.mark.parametrize("codec", ["mjpeg", "png"])
@pytest.mark.parametrize("target", ["mp4", "mkv"])
@pytest.mark.parametrize("source", ["mp4", "mkv"])
def test_a_cover_is_kept(tmp_path, source, target, codec):
    film, cover = with_cover(tmp_path / f"film.{source}", codec)
    assert covers(film) == [cover]
    output = unchanged(film, tmp_path / f"out.{target}")
    assert covers(output) == [cover]
    assert len(times(output)) == 10


@pytest.mark.parametrize("suffix", ["mov", "m4v", "webm"])
def test_where_a_cover_cannot_be_kept_that_is_said(tmp_path, caplog, suffix):
    film, _ = with_cover(tmp_path / "film.mp4")
    assert covers(unchanged(film, tmp_path / f"out.{suffix}")) == []
    assert "the cover (mjpeg, no language) of" in caplog.text
    assert f"is left out of the .{suffix} film: .{suffix} films hold no cover" in caplog.text


def test_a_second_picture_is_left_out_and_named(tmp_path, caplog):
    film = tmp_path / "two.mkv"
    with av.open(str(film), "w") as new:
        streams = [new.add_stream("mpeg4", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height = 96, 64
        for stream in streams:
            new.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8), format="rgb24")))
            new.mux(stream.encode())
    unchanged(film, tmp_path / "out.mkv")
    assert "is left out of the .mkv film: a film has one picture" in caplog.text


def test_sound_with_a_cover_is_no_film(tmp_path):
    film, _ = with_cover(tmp_path / "film.mp4")
    with av.open(str(film)) as source, av.open(str(tmp_path / "song.mp4"), "w") as target:
        copies = {s.index: target.add_stream_from_template(s, opaque=True) for s in list(source.streams)[1:]}
        copies[2].disposition = Disposition.attached_pic
        for packet in source.demux():
            if packet.stream.index in copies and packet.size:
                packet.pts = packet.dts = packet.pts or 0
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    with pytest.raises(VideoError, match=r"expected a video stream in .*song.mp4, got audio, and a cover"):
        open_source(tmp_path / "song.mp4")


# ---------------------------------------------------------------- rates


@pytest.mark.parametrize(
    ("size", "pixels", "rate"), [((576, 720), "yuv420p", Fraction(25)), ((480, 720), "yuv411p", Fraction(30_000, 1001))]
)
def test_raw_dv_has_the_rate_of_its_codec(tmp_path, size, pixels, rate):
    film = make_film(
        tmp_path / "tape.dv", frames=5, size=size, codec="dvvideo", pixel_format=pixels, rate=rate, options={}
    )
    source = open_source(film)
    assert source.rate == rate
    output = unchanged(film, tmp_path / "out.mp4")
    assert [float(time) for time in times(output)] == pytest.approx([float(i / rate) for i in range(5)], abs=1e-4)
    with av.open(str(output)) as made:
        assert float(made.streams.video[0].average_rate) == pytest.approx(float(rate), rel=1e-4)
