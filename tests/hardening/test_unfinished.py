"""The work folder of an unfinished film: what is damaged is made again, and nothing is written elsewhere."""

from __future__ import annotations

import json
import logging
import os
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from flowxfer.bundle import sha256
from flowxfer.errors import InputError, VideoError
from flowxfer.faces import Tracker
from flowxfer.video import open_sink, open_source
from flowxfer.video.changes import Smoothing
from flowxfer.video.io.journal import read_entry, write_entry
from flowxfer.video.performance import Performance
from tests.video.beacons import Beacons, walk
from tests.video.films import packets

FILM = walk(5)


def begin(output, **options):
    """Write four of five frames, two in a segment, or go on with them."""
    codec = "ffv1" if output.suffix else None
    return open_sink(output, open_source(FILM), codec=codec, segment_frames=2, **options)


def write(sink, until):
    with suppress(KeyboardInterrupt), sink:
        for frame in open_source(FILM).frames(sink.done):
            if frame.index == until:
                raise KeyboardInterrupt
            sink.write(frame, frame.pixels, None, record={"found": False}, state={"after": frame.index})


def written(output):
    """Read the packets of a film, whose container has a random number in it, or the pictures in a folder."""
    if output.suffix:
        return packets(output, "video")
    return [(path.name, path.read_bytes()) for path in sorted(output.iterdir())]


@pytest.fixture(params=["out.mkv", "out"])
def output(request, tmp_path):
    write(begin(tmp_path / request.param), 4)
    return tmp_path / request.param


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an uninterrupted run writes, by its name."""
    folder = tmp_path_factory.mktemp("whole")
    for name in ("out.mkv", "out"):
        write(begin(folder / name), None)
    return {name: written(folder / name) for name in ("out.mkv", "out")}


def work(output):
    return output.with_name(f".{output.name}.partial")


def change(path, **values):
    """Give an entry other values, and the checksum of these."""
    entry = json.loads(path.read_text())
    del entry["sha256"]
    write_entry(path, entry | values)


def flip(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def refused(output, message):
    """Resuming says so, keeps what is there, and lets the next run have it; overwriting begins anew."""
    before = sorted(work(output).iterdir())
    with pytest.raises(VideoError, match=rf"{message}.* overwrite it without resuming"):
        begin(output, resume=True)
    assert sorted(work(output).iterdir()) == before
    assert begin(output, overwrite=True).done == 0


@pytest.fixture
def made_again(output, whole, caplog):
    """Resuming warns, goes on with the segments before the damaged one, and writes what an uninterrupted run does."""

    def check(number, why):
        sink = begin(output, resume=True)
        (record,) = caplog.records
        sentence = (
            rf"the unfinished run in .*partial is damaged, {number:06}.json: .*{why}.*; "
            "resuming makes this segment and all after it again"
        )
        assert re.fullmatch(sentence, record.getMessage())
        assert record.levelno == logging.WARNING
        assert sink.done == 2 * number
        assert len(list(work(output).glob("0*.json"))) == number
        write(sink, None)
        assert written(output) == whole[output.name]

    return check


def test_what_is_sound_is_gone_on_with(output, caplog):
    assert begin(output, resume=True).done == 4
    assert not caplog.records


NO_OBJECT = [("{", "Expecting property name"), ("[" * 100_000, "recursion"), ("[1]", "it is no JSON object")]


@pytest.mark.parametrize(("text", "why"), NO_OBJECT)
def test_a_job_that_is_no_json_object(output, text, why):
    (work(output) / "job.json").write_text(text)
    refused(output, rf"the unfinished run in .*partial is damaged, job.json: .*{why}")


@pytest.mark.parametrize(("text", "why"), NO_OBJECT)
def test_an_entry_that_is_no_json_object(output, made_again, text, why):
    (work(output) / "000001.json").write_text(text)
    made_again(1, why)


def test_what_would_fill_the_memory(output, made_again):
    with (work(output) / "000001.json").open("wb") as file:
        file.truncate(1 << 40)
    made_again(1, "it has more than 67,108,864 bytes")


# ---------------------------------------------------------------- what a disk or a power cut did


def files_of(output, number):
    """The files of a segment: its packets, or its pictures."""
    folder = work(output)
    return [folder / name for name in json.loads((folder / f"{number:06}.json").read_text())["files"]]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_a_bit_that_flipped_in_packets_or_a_picture(output, made_again, number, part):
    path = files_of(output, number)[-1]
    flip(path, int(part * (path.stat().st_size * 8 - 1)))
    made_again(number, "its files are not what was written")


def test_a_page_that_was_not_written(output, made_again):
    path = files_of(output, 1)[0]
    path.write_bytes(bytes(path.stat().st_size))
    made_again(1, "its files are not what was written")


@pytest.mark.parametrize("output", ["out"], indirect=True)
def test_a_picture_that_is_gone(output, made_again):
    files_of(output, 0)[1].unlink()
    made_again(0, "its files are not what was written")


@pytest.mark.parametrize("output", ["out.mkv"], indirect=True)
def test_packets_that_are_cut_short(output, made_again):
    path = work(output) / "000001.packets"
    path.write_bytes(path.read_bytes()[:-1])
    made_again(1, "its packets are not those of 000001.packets")


@pytest.mark.parametrize("output", ["out.mkv"], indirect=True)
def test_packets_that_are_gone(output, made_again):
    (work(output) / "000000.packets").unlink()
    made_again(0, "its packets are not those of 000000.packets")


def test_a_digit_that_flipped_in_an_entry(output, made_again):
    path = work(output) / "000000.json"
    flip(path, path.read_bytes().index(b'"after": 1') * 8 + 9 * 8)
    assert json.loads(path.read_text())["state"] == {"after": 0}
    made_again(0, "it is not what was written")


@pytest.mark.parametrize("output", ["out.mkv"], indirect=True)
def test_no_bit_of_an_entry_flips_unseen(output):
    path, fields = work(output) / "000000.json", ("records", "packets")
    entry, bits = read_entry(path, fields), path.stat().st_size * 8
    assert bits > 2000
    for bit in range(bits):
        flip(path, bit)
        with pytest.raises(VideoError, match=r"damaged, 000000.json: .*; resuming makes this segment and all after it"):
            read_entry(path, fields)
        flip(path, bit)
    assert read_entry(path, fields) == entry


@pytest.mark.parametrize("output", ["out.mkv"], indirect=True)
def test_packets_that_are_damaged_before_they_are_joined(output, made_again):
    sink = begin(output, resume=True)
    flip(work(output) / "000001.packets", 100)
    message = r"damaged, 000001.json: its files are not what was written; resuming makes"
    with pytest.raises(VideoError, match=message), sink:
        pass
    assert not output.exists()
    made_again(1, "its files are not what was written")


def test_a_run_of_a_version_without_checksums(output):
    job = json.loads((work(output) / "job.json").read_text())
    del job["version of work folders"]
    (work(output) / "job.json").write_text(json.dumps(job))
    refused(output, r"partial differs in version of work folders; go on with what it began with, or")


def test_nothing_has_its_name_before_it_is_on_the_disk(tmp_path, monkeypatch):
    """What a power cut leaves of a film is what its entries say: each is on the disk after its packets."""
    on_disk, named = {}, []

    def fsync(handle):
        on_disk[os.fstat(handle).st_ino] = os.fstat(handle).st_size

    def replace(source, target):
        folder = work(tmp_path / "out.mkv")
        packets = folder / f"{Path(target).stem}.packets"
        for path in (Path(source), *([packets] if packets.exists() else [])):
            assert on_disk.get(path.stat().st_ino) == path.stat().st_size > 0, path
        named.append(Path(target).name)
        os.rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write(begin(tmp_path / "out.mkv"), None)
    assert named == ["job.json", "000000.json", "000001.json", "000002.json", "out.mkv"]


# ---------------------------------------------------------------- what a stranger wrote


@pytest.mark.parametrize(
    "values", [{"frames": 0}, {"frames": 10**30}, {"frames": True}, {"frames": "2"}, {"state": None}]
)
def test_a_segment_that_is_none(output, made_again, values):
    change(work(output) / "000000.json", **values)
    made_again(0, "it does not say how many frames there are, or how the run goes on after them")


@pytest.mark.parametrize("records", [None, [], [{}], [{}, 1]])
def test_records_that_are_not_the_frames(output, made_again, records):
    change(work(output) / "000000.json", records=records)
    made_again(0, "it does not have one record for each frame")


PACKETS = [None, [], [[1, 2]], [[-1, 0, True]], [[1, 2**62, True]], [[1, 0.5, True]], [[1, 0, 1]], [[2**70, 0, True]]]


@pytest.mark.parametrize("output", ["out.mkv"], indirect=True)
@pytest.mark.parametrize(
    "values", [*({"packets": packets} for packets in PACKETS), {"duration": 0}, {"duration": None}]
)
def test_packets_that_are_not_those_of_the_film(output, made_again, values):
    change(work(output) / "000001.json", **values)
    made_again(1, "its packets are not those of 000001.packets")


@pytest.mark.parametrize("files", [None, [], "job.json"])
def test_a_segment_that_does_not_name_its_files(output, made_again, files):
    change(work(output) / "000001.json", files=files)
    made_again(1, "it does not say what its files are")


@pytest.mark.parametrize(
    ("name", "why"),
    [("../precious", "not what"), ("pictures", "not what"), ("", "not what"), ("\0", "null"), ("\ud800", "surrogates")],
)
def test_files_that_are_none_or_lie_elsewhere(output, made_again, tmp_path, name, why):
    (tmp_path / "precious").write_text("mine")
    change(work(output) / "000000.json", files={name: sha256(tmp_path / "precious")})
    made_again(0, why)


def test_another_runs_fields_are_not_repeated(output):
    path = work(output) / "job.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"\ud800" * 1000: 1}))
    with pytest.raises(VideoError, match=r"partial differs in what this one does not have; go on"):
        begin(output, resume=True)


def test_no_link_leads_out(output, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (work(output) / "000002.packets").symlink_to(precious)
    refused(output, r"expected no links in the unfinished run, got .*000002.packets, through which it would write")
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("options", [{"resume": True}, {"overwrite": True}, {}])
def test_the_folder_is_no_link(tmp_path, options):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").touch()
    (tmp_path / ".out.partial").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(
        VideoError, match=r"expected a folder for unfinished work at .*\.out\.partial, got a link; remove"
    ):
        begin(tmp_path / "out", **options)
    assert (tmp_path / "elsewhere" / "precious").exists()


# ---------------------------------------------------------------- what a run remembers


def remembered():
    tracker = Tracker(32, detector=Beacons())
    tracker.follow(FILM[0], 0.0)
    return json.loads(json.dumps(tracker.state))


def test_a_sound_state_is_taken():
    tracker = Tracker(32, detector=Beacons())
    tracker.restore(remembered())
    assert json.loads(json.dumps(tracker.state)) == remembered()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"eyes": [[1, 2]]}, r"the shape \(1, 2\), not \(2, 2\)"),
        ({"eyes": [[1, 2], [3, float("nan")]]}, "its numbers are out of range"),
        ({"eyes": [[1, 2], [3, 1e300]]}, "its numbers are out of range"),
        ({"eyes": "somewhere"}, "could not convert string"),
        ({"look": [[300] * 16] * 16}, "its pixels are out of range"),
        ({"age": -1}, "one of its counts is none"),
        ({"age": 1.5}, "one of its counts is none"),
        ({"found": {}}, "'box'"),
        ({"filter": None}, "not subscriptable"),
        ({"scenes": {"last": [[1]]}}, r"the shape \(1, 1\), not \(18, 32\)"),
        ({"person": {"own": [1], "others": []}}, r"the shape \(1,\), not \(128,\)"),
    ],
)
def test_a_tracker_takes_no_other_state(values, why):
    message = rf"expected the state of a tracker, got another or a damaged one: .*{why}"
    with pytest.raises(InputError, match=message):
        Tracker(32, detector=Beacons()).restore(remembered() | values)


@pytest.mark.parametrize(
    "levels",
    [None, [], [{}], [{"dtype": "|O", "bytes": "AAAAAAAAAAA="}], [{"dtype": "<f4", "bytes": "AAAA"}], [1]],
)
def test_smoothing_takes_no_other_state(levels):
    with pytest.raises(InputError, match="expected the state of smoothing, got another or a damaged one: "):
        Smoothing(0.5).restore({"levels": levels}, [(1, 1, 2)])


def test_a_performance_takes_no_other_state():
    source = open_source(FILM)
    with pytest.raises(InputError, match="expected the state of a performance, got another or a damaged one"):
        Performance(source, Tracker(32, detector=Beacons()), {"frame": -1, "tracker": remembered()})
    with pytest.raises(
        InputError, match="expected the driver to have the frame 99 of the unfinished run; it is shorter"
    ):
        Performance(source, Tracker(32, detector=Beacons()), {"frame": 99, "tracker": remembered()})


def test_a_state_keeps_every_bit():
    z = np.float32([[[0.1, -1e-30]]])
    smoothing = Smoothing(0.5)
    smoothing._last = [z]
    again = Smoothing(0.5)
    again.restore(json.loads(json.dumps(smoothing.state)), [z.shape])
    assert again._last[0].tobytes() == z.tobytes()
