"""Killed, interrupted, full, refused: what was done stays, and a resumed run writes what an uninterrupted one does."""

from __future__ import annotations

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flowxfer.errors import InputError, VideoError
from flowxfer.video import open_sink, open_source
from tests.video.films import packets, stored_planes, times

SEGMENT = 8


def edit(frame):
    """Every third frame as it was, others with something in them that depends on the index."""
    if frame.index % 3 == 0:
        return frame.pixels, None
    pixels = frame.pixels.copy()
    pixels[10:31, 21:50] = (frame.index * 4, 90, 255 - frame.index * 4)
    return pixels, (21, 10, 50, 31)


def write(sink, frame, **changed):
    pixels, box = edit(frame)
    arguments = {"record": {"index": frame.index}, "state": {"after": frame.index}} | changed
    sink.write(frame, pixels, box, **arguments)


def run(film, output, *, until=None, error=None, **options):
    """Write a film; with an error, raise it at the frame ``until``."""
    with open_source(film) as source, open_sink(output, source, segment_frames=SEGMENT, **options) as sink:
        for frame in source.frames(sink.done):
            if frame.index == until:
                raise error
            write(sink, frame)
    return output


def write_all(source, sink):
    with sink:
        for frame in source.frames():
            write(sink, frame)


@pytest.fixture(scope="module")
def whole(films, tmp_path_factory):
    return run(films["h264"], tmp_path_factory.mktemp("whole") / "out.mp4")


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_finished_run_leaves_the_film_alone(whole):
    assert left_in(whole.parent) == ["out.mp4"]


@pytest.mark.parametrize("until", [8, 9, 23, 59])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("in a stage")])
def test_a_resumed_run_writes_what_an_uninterrupted_one_writes(films, whole, tmp_path, until, error):
    with pytest.raises(type(error)):
        run(films["h264"], tmp_path / "out.mp4", until=until, error=error)
    assert not (tmp_path / "out.mp4").exists()
    assert ".out.mp4.partial" in left_in(tmp_path)
    with open_source(films["h264"]) as source:
        sink = open_sink(tmp_path / "out.mp4", source, segment_frames=SEGMENT, resume=True)
        assert sink.done == until // SEGMENT * SEGMENT
        assert sink.state == {"after": sink.done - 1}
        assert [record["index"] for record in sink.records()] == list(range(sink.done))
        with sink:
            for frame in source.frames(sink.done):
                write(sink, frame)
            assert [record["index"] for record in sink.records()] == list(range(60))
    assert (tmp_path / "out.mp4").read_bytes() == whole.read_bytes()
    assert left_in(tmp_path) == ["out.mp4"]


KILLED = """
import os, signal, sys
from flowxfer.video import open_sink, open_source
from tests.video.io.test_segments import SEGMENT, write
film, output, last, where = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
if where == "join":
    import flowxfer.video.io.film_sink as module
    join = module.join
    def killed(*arguments):
        join(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)
    module.join = killed
with open_source(film) as source, open_sink(output, source, segment_frames=SEGMENT, resume=True) as sink:
    print(sink.done, flush=True)
    for frame in source.frames(sink.done):
        write(sink, frame)
        if frame.index == last:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_three_times(films, whole, tmp_path):
    output, begun = tmp_path / "out.mp4", []
    for last, where in ((5, "frame"), (19, "frame"), (47, "frame"), (99, "join")):
        code = [sys.executable, "-c", KILLED, str(films["h264"]), str(output), str(last), where]
        killed = subprocess.run(code, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not output.exists()
        begun.append(int(killed.stdout))
    assert begun == [0, 0, 16, 48]
    run(films["h264"], output, resume=True)
    assert output.read_bytes() == whole.read_bytes()
    assert packets(output, "video") == packets(whole, "video")
    assert left_in(tmp_path) == ["out.mp4"]


def test_the_joined_film_has_each_frame_once(films, whole):
    assert times(whole) == times(films["h264"])
    assert len(stored_planes(whole)) == 60


def test_a_resumed_lossless_film_has_every_plane_byte(films, tmp_path):
    film, output = films["lossless"], tmp_path / "out.mkv"
    for until in (11, 20):
        with pytest.raises(KeyboardInterrupt):
            untouched(film, output, until)
    untouched(film, output, None)
    for got, expected in zip(stored_planes(output), stored_planes(film), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


def untouched(film, output, until):
    source = open_source(film)
    with open_sink(output, source, codec="ffv1", segment_frames=SEGMENT, resume=True) as sink:
        for frame in source.frames(sink.done):
            if frame.index == until:
                raise KeyboardInterrupt
            sink.write(frame, frame.pixels, None, record={}, state={})


def test_pictures_are_resumed(tmp_path):
    film = [np.full((8, 12, 3), i, np.uint8) for i in range(20)]
    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run_pictures(film, output, 13)
    assert not output.exists()
    assert run_pictures(film, output, None) == 8
    assert left_in(output) == [f"frame_{i:06}.png" for i in range(1, 21)]
    assert left_in(tmp_path) == ["out"]


def run_pictures(film, output, until):
    source = open_source(film)
    with open_sink(output, source, segment_frames=SEGMENT, resume=True) as sink:
        for frame in source.frames(sink.done):
            if frame.index == until:
                raise KeyboardInterrupt
            sink.write(frame, frame.pixels, None, record={}, state={})
    return sink.done


def test_nothing_safe_leaves_nothing(films, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(films["h264"], tmp_path / "out.mp4", until=SEGMENT - 1, error=KeyboardInterrupt())
    assert left_in(tmp_path) == []


@pytest.fixture
def unfinished(films, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(films["h264"], tmp_path / "out.mp4", until=20, error=KeyboardInterrupt(), settings={"alpha": 0.5})
    return tmp_path / "out.mp4"


def test_an_unfinished_run_is_not_thrown_away_unasked(films, unfinished):
    with pytest.raises(VideoError, match=r"an unfinished run of .*out.mp4 is in .*\.out\.mp4\.partial; resume goes on"):
        run(films["h264"], unfinished, settings={"alpha": 0.5})
    run(films["h264"], unfinished, settings={"alpha": 0.7}, overwrite=True)
    assert unfinished.exists()


@pytest.mark.parametrize(
    ("name", "options", "differs"),
    [
        ("h264", {"settings": {"alpha": 0.7}}, "settings"),
        ("mkv", {"settings": {"alpha": 0.5}}, "source"),
        ("h264", {"settings": {"alpha": 0.5}, "quality": 30}, "encoder"),
        ("mkv", {"settings": {"alpha": 0.7}, "codec": "hevc"}, "encoder, settings, source"),
    ],
)
def test_another_run_is_refused(films, unfinished, name, options, differs):
    before = left_in(unfinished.parent / ".out.mp4.partial")
    with pytest.raises(VideoError, match=rf"the unfinished run in .* differs in .*{differs}; go on with what it"):
        run(films[name], unfinished, resume=True, **options)
    assert left_in(unfinished.parent / ".out.mp4.partial") == before


def test_one_run_at_a_time(films, tmp_path):
    source = open_source(films["h264"])
    with open_sink(tmp_path / "out.mp4", source, segment_frames=SEGMENT) as sink:
        with pytest.raises(VideoError, match=r"another run is writing .*out.mp4; wait for it, or choose another name"):
            open_sink(tmp_path / "out.mp4", source, segment_frames=SEGMENT, resume=True)
        for frame in source.frames():
            write(sink, frame)


def test_where_nothing_was_done_nothing_is_said_to_be_kept(films, tmp_path):
    source = open_source(films["h264"])
    sink = open_sink(tmp_path / "out.mp4", source, segment_frames=SEGMENT)
    (tmp_path / ".out.mp4.partial" / "000000.packets").symlink_to("/dev/full")
    with pytest.raises(VideoError, match=r"the disk is full; nothing was done yet$"):
        write_all(source, sink)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence_and_keeps_what_is_done(films, whole, tmp_path):
    source = open_source(films["h264"])
    sink = open_sink(tmp_path / "out.mp4", source, segment_frames=SEGMENT)
    (tmp_path / ".out.mp4.partial" / "000002.packets").symlink_to("/dev/full")
    with pytest.raises(VideoError, match=r"the disk is full; what was done is kept in .*, free some space and resume"):
        write_all(source, sink)
    assert not (tmp_path / "out.mp4").exists()
    (tmp_path / ".out.mp4.partial" / "000002.packets").unlink()
    run(films["h264"], tmp_path / "out.mp4", resume=True)
    assert (tmp_path / "out.mp4").read_bytes() == whole.read_bytes()


def test_a_disk_that_is_full_within_a_segment_is_the_same_sentence(films, tmp_path):
    source = open_source(films["rgb"])
    sink = open_sink(tmp_path / "out.mkv", source, codec="ffv1", segment_frames=4)
    (tmp_path / ".out.mkv.partial" / "000001.packets").symlink_to("/dev/full")
    with pytest.raises(VideoError, match=r"the disk is full; what was done is kept in .*, free some space and resume"):
        write_all(source, sink)
    (tmp_path / ".out.mkv.partial" / "000001.packets").unlink()
    assert open_sink(tmp_path / "out.mkv", source, codec="ffv1", segment_frames=4, resume=True).done == 4


def test_a_disk_that_is_full_at_the_end_costs_no_frame(films, whole, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("flowxfer.video.io.film_sink.join", full)
    with pytest.raises(VideoError, match=r"the disk is full; what was done is kept in .*partial"):
        run(films["h264"], tmp_path / "out.mp4")
    monkeypatch.undo()
    source = open_source(films["h264"])
    with open_sink(tmp_path / "out.mp4", source, segment_frames=SEGMENT, resume=True) as sink:
        assert sink.done == 60
        assert list(source.frames(sink.done)) == []
    assert (tmp_path / "out.mp4").read_bytes() == whole.read_bytes()


def test_an_error_of_the_system_is_passed_on(films, tmp_path, monkeypatch):
    def broken(*arguments):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("flowxfer.video.io.film_sink.join", broken)
    with pytest.raises(VideoError, match=r"out.mp4 cannot be written: .*Input/output error; what was done is kept in"):
        run(films["h264"], tmp_path / "out.mp4")


def test_the_log_has_a_line_a_frame(films, tmp_path):
    run(films["h264"], tmp_path / "out.mp4", log=tmp_path / "log.jsonl")
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"index": i} for i in range(60)]


def test_frames_come_in_order_and_in_one_size(films, tmp_path):
    source = open_source(films["h264"])
    first, second = itertools.islice(source.frames(), 2)
    sink = open_sink(tmp_path / "a.mp4", source)
    with pytest.raises(VideoError, match=r"expected frame 0 next, got 1; go on with source.frames\(0\)"):
        write(sink, second)
    with pytest.raises(VideoError, match=r"expected pixels of the frame's shape \(64, 96, 3\), got \(64, 95, 3\)"):
        sink.write(first, first.pixels[:, 1:], None, record={}, state={})
    with pytest.raises(VideoError, match=r"expected at least one frame for .*a.mp4, got none"):
        sink.__exit__(None, None, None)
    assert left_in(tmp_path) == []


def test_places_that_cannot_be_written_to(films, tmp_path):
    source = open_source(films["h264"])
    with pytest.raises(VideoError, match=r"expected a name of its own for each output, got .*h264.mp4, which"):
        open_sink(films["h264"], source, overwrite=True)
    (tmp_path / "there.mp4").write_bytes(b"mine")
    with pytest.raises(VideoError, match=r"expected nothing at .*there.mp4, got a file; choose another name, or over"):
        open_sink(tmp_path / "there.mp4", source)
    with pytest.raises(VideoError, match=r"expected nothing at .*, got a folder that is not empty"):
        open_sink(tmp_path, source)
    with pytest.raises(VideoError, match=r"expected to write beside .*, got Not a directory; choose a folder that"):
        open_sink(tmp_path / "there.mp4" / "out.mp4", source)
    with pytest.raises(InputError, match=r"expected segments of at least 1 frame, got 0"):
        open_sink(tmp_path / "out.mp4", source, segment_frames=0)
    assert (tmp_path / "there.mp4").read_bytes() == b"mine"
    run(films["silent"], tmp_path / "there.mp4", overwrite=True)
    assert len(times(tmp_path / "there.mp4")) == 20


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to(films, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(VideoError, match=r"got Permission denied; choose a folder that can be written to"):
        open_sink(tmp_path / "out.mp4", open_source(films["h264"]))
