"""What is opened as a film holds the film itself, and opening it takes so much and no more."""

from __future__ import annotations

import resource
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from flowxfer.errors import FlowxferError, VideoError
from flowxfer.video import open_source
from flowxfer.video.io import bounds
from tests.video.films import make_film
from tests.video.hostile import box, mp4

PRIVATE = "private.ts"


@pytest.fixture
def folder(tmp_path):
    """A folder with a film in it that nobody named."""
    (tmp_path / "private").mkdir()
    make_film(tmp_path / "private" / PRIVATE, frames=10)
    return tmp_path


def _m3u8(film):
    return f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXTINF:2.0,\n{film}\n#EXT-X-ENDLIST\n"


def _master(film):
    return f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{film}\n"


def _ffconcat(film):
    return f"ffconcat version 1.0\nfile '{film}'\n"


def _mpd(film):
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S"'
        ' profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp2t">'
        f'<Representation id="1" bandwidth="1"><BaseURL>{film}</BaseURL></Representation></AdaptationSet></Period>'
        "</MPD>"
    )


def _sdp(film):
    return (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    )


def _ffmetadata(film):
    return ";FFMETADATA1\ntitle=x\n"


def _webm_manifest(film):
    return f'#EXTM3U\n#EXT-X-MAP:URI="{film}"\n#EXTINF:2.0,\n{film}\n#EXT-X-ENDLIST\n'


def _key(film):
    return f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{film}"\n#EXTINF:2.0,\ndata:,\n#EXT-X-ENDLIST\n'


PLAYLISTS = [_m3u8, _master, _ffconcat, _mpd, _sdp, _ffmetadata, _webm_manifest, _key]


@pytest.mark.parametrize("name", ["film.m3u8", "film.ffconcat", "film.mpd", "film.mp4", "film.mkv", "film.ts", "film"])
@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("absolute", [False, True])
def test_a_playlist_is_no_film(folder, name, kind, absolute):
    film = folder / "private" / PRIVATE
    (folder / name).write_text(kind(film if absolute else film.relative_to(folder)))
    began = time.monotonic()
    with pytest.raises(VideoError, match="expected a film in .*, (such as MP4.* playlists are not followed|got none)"):
        open_source(folder / name)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("name", ["self.m3u8", "self.mp4"])
def test_a_playlist_that_names_itself(tmp_path, name):
    (tmp_path / name).write_text(_master(name))
    with pytest.raises(VideoError, match="playlists are not followed|got none, or one that is damaged"):
        open_source(tmp_path / name)


@pytest.mark.parametrize(("follow", "read"), [("0", b""), ("1", b"S" * 100)])
def test_what_lies_in_other_files_is_not_read(tmp_path, follow, read):
    """A track of a MOV may lie elsewhere: FFmpeg would read it, where it is told to."""
    (tmp_path / "secret.bin").write_bytes(b"S" * 1000)
    name = b"/any/volume/secret.bin"
    alias = (
        bytes(134) + struct.pack(">HH", 1, 1) + bytes(16) + struct.pack(">HH", 2, len(name)) + name + b"\xff\xff\0\0"
    )
    (tmp_path / "film.mov").write_bytes(mp4(100, codec=b"jpeg", reference=box(b"alis", alias)))
    options = {**bounds.OPTIONS, "enable_drefs": follow}
    with av.open(tmp_path / "film.mov", container_options=options) as film:
        assert b"".join(bytes(packet) for packet in film.demux()) == read
    assert bounds.OPTIONS["enable_drefs"] == "0"


CONTAINERS = [".mp4", ".mov", ".m4v", ".mkv", ".avi", ".ts", ".mts", ".flv", ".wmv", ".nut", ".mpg", ".mxf", ".h264"]


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_containers_that_hold_a_film_are_read(tmp_path, suffix):
    codec = {".mpg": "mpeg2video", ".wmv": "msmpeg4v3", ".mxf": "mpeg2video"}.get(suffix, "libx264")
    film = make_film(tmp_path / f"film{suffix}", codec=codec, frames=10)
    assert len(list(open_source(film).frames())) == 10
    assert len(list(open_source(film.rename(tmp_path / "film")).frames())) == 10  # a suffix says nothing


def test_the_demuxers_are_ffmpegs():
    assert [name for name in bounds.DEMUXERS if not av.ContainerFormat(name, "r").is_input] == []


# ---- what opening may cost


@pytest.fixture
def limits(monkeypatch):
    """Set bounds that a test can wait for."""

    def to(**values):
        bounds._trials.end()
        bounds._check.cache_clear()
        for name, value in values.items():
            monkeypatch.setattr(bounds, name, value)

    yield to
    monkeypatch.undo()
    bounds._trials.end()


def test_tables_that_take_all_memory(tmp_path, limits):
    """FFmpeg makes 24 bytes in memory of each sample that a table of an MP4 claims to have."""
    limits(MEMORY=64 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (tmp_path / "film.mp4").write_bytes(mp4(10_000_000))
    with pytest.raises(VideoError, match=r"got something that takes more than 64 MiB or \d+ seconds to open"):
        open_source(tmp_path / "film.mp4")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
    make_film(tmp_path / "good.mp4", frames=10)
    assert open_source(tmp_path / "good.mp4").count == 10  # in another process than that which ended


def test_tables_that_take_all_time(tmp_path, limits):
    limits(SECONDS=0.05)
    (tmp_path / "film.mp4").write_bytes(mp4(10_000_000))
    with pytest.raises(VideoError, match=r"got something that takes more than \d+ MiB or 0.05 seconds to open"):
        open_source(tmp_path / "film.mp4")


def test_packets_that_overlap_without_end(tmp_path):
    (tmp_path / "film.mp4").write_bytes(mp4(1_000_000, chunks=2000))
    with pytest.raises(VideoError, match=r"expected a film in .*, got more packets than fit into its \d+ bytes"):
        open_source(tmp_path / "film.mp4")


def test_pictures_that_are_enormous(tmp_path):
    (tmp_path / "film.mp4").write_bytes(mp4(10, size=(9000, 9000), codec=b"raw "))
    with pytest.raises(VideoError, match=r"expected pictures of at most 37748736 pixels in .*, got 9000x9000; make"):
        open_source(tmp_path / "film.mp4")


def test_pictures_that_turn_out_enormous(tmp_path, monkeypatch):
    """Where the header says less than the pictures have."""
    film = make_film(tmp_path / "film.mp4", frames=10)
    monkeypatch.setattr(bounds, "LARGEST", 64 * 95)
    with pytest.raises(VideoError, match="expected pictures of at most 6080 pixels"):
        open_source(film)


def test_pictures_of_an_unknown_codec(tmp_path):
    (tmp_path / "film.mp4").write_bytes(mp4(10, codec=b"????"))
    with pytest.raises(
        VideoError, match="expected pictures that can be decoded in .*, got those of a codec that nobod"
    ):
        open_source(tmp_path / "film.mp4")


def test_streams_without_end(tmp_path):
    (tmp_path / "film.mp4").write_bytes(mp4(10, tracks=300))
    with pytest.raises(VideoError, match=r"expected a"):
        open_source(tmp_path / "film.mp4")


def test_a_film_that_grows(tmp_path):
    film = make_film(tmp_path / "film.ts", codec="mpeg2video", frames=60)
    data = film.read_bytes()
    film.write_bytes(data[: len(data) // 2])
    frames = open_source(film).frames()
    next(frames)
    with film.open("ab") as file:
        file.write(data[len(data) // 2 :])
    with pytest.raises(VideoError, match="expected .*film.ts to be finished, but it grows; take it when nobody writes"):
        list(frames)


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/urandom"])
def test_a_device_is_no_film(tmp_path, target):
    (tmp_path / "film.mp4").symlink_to(target)
    with pytest.raises(FlowxferError, match="expected a file at .*, got a pipe or a device"):
        open_source(tmp_path / "film.mp4")


def test_ctrl_c_while_a_film_is_opened(tmp_path):
    (tmp_path / "sleep.py").write_text("import time\ntime.sleep(60)\n")
    film = make_film(tmp_path / "film.mp4", frames=10)
    code = (
        "import sys; from pathlib import Path; from flowxfer.video import open_source\n"
        "from flowxfer.video.io import bounds\n"
        "bounds._SCRIPT = Path(sys.argv[1]); print('ready', flush=True); open_source(sys.argv[2])"
    )
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", code, tmp_path / "sleep.py", film]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=root, stdout=pipe, stderr=pipe, preexec_fn=heeds_ctrl_c) as process:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) != 0
        assert time.monotonic() - began < 2
        assert b"KeyboardInterrupt" in process.stderr.read()


def heeds_ctrl_c():
    """In the background of a script the signal would be ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_in_a_library_that_does_not_come_back():
    code = (
        "import time; from flowxfer.video.io.bounds import patiently\n"
        "print('ready', flush=True); patiently(lambda: __import__('ctypes').CDLL(None).sleep(60))"
    )
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, preexec_fn=heeds_ctrl_c) as process:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) != 0
        assert time.monotonic() - began < 2


def test_what_no_process_can_try_is_opened(tmp_path, limits, monkeypatch, caplog):
    film = make_film(tmp_path / "film.mp4", frames=10)
    limits()
    monkeypatch.setattr(sys, "executable", "/usr/bin/blender")
    assert open_source(film).count == 10
    assert "films are opened without bounds" in caplog.text
