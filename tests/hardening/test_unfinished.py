"""The work folder of an unfinished film: what is wrong with it is one sentence, and nothing is written elsewhere."""

from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pytest

from flowxfer.errors import InputError, VideoError
from flowxfer.faces import Tracker
from flowxfer.video import open_sink, open_source
from flowxfer.video.changes import Smoothing
from flowxfer.video.performance import Performance
from tests.video.beacons import Beacons, walk

FILM = walk(5)


def begin(output, **options):
    """Write four of five frames, two in a segment, or go on with them."""
    codec = "ffv1" if output.suffix else None
    return open_sink(output, open_source(FILM), codec=codec, segment_frames=2, **options)


@pytest.fixture(params=["out.mkv", "out"])
def output(request, tmp_path):
    with suppress(KeyboardInterrupt), begin(tmp_path / request.param) as sink:
        for frame in open_source(FILM).frames():
            if frame.index == 4:
                raise KeyboardInterrupt
            sink.write(frame, frame.pixels, None, record={"found": False}, state={"after": frame.index})
    return tmp_path / request.param


def work(output):
    return output.with_name(f".{output.name}.partial")


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refused(output, message):
    """Resuming says so, keeps what is there, and lets the next run have it; overwriting begins anew."""
    before = sorted(work(output).iterdir())
    with pytest.raises(VideoError, match=rf"{message}.* overwrite it without resuming"):
        begin(output, resume=True)
    assert sorted(work(output).iterdir()) == before
    assert begin(output, overwrite=True).done == 0


def test_what_is_sound_is_gone_on_with(output):
    assert begin(output, resume=True).done == 4


@pytest.mark.parametrize(
    ("text", "why"), [("{", "Expecting property name"), ("[" * 100_000, "recursion"), ("[1]", "it is no JSON object")]
)
@pytest.mark.parametrize("name", ["job.json", "000001.json"])
def test_what_is_no_json_object(output, name, text, why):
    (work(output) / name).write_text(text)
    refused(output, rf"the unfinished run in .*partial is damaged, {name}: .*{why}")


def test_what_would_fill_the_memory(output):
    with (work(output) / "000001.json").open("wb") as file:
        file.truncate(1 << 40)
    refused(output, "damaged, 000001.json: it has more than 67,108,864 bytes")


@pytest.mark.parametrize(
    "values", [{"frames": 0}, {"frames": 10**30}, {"frames": True}, {"frames": "2"}, {"state": None}]
)
def test_a_segment_that_is_none(output, values):
    change(work(output) / "000000.json", **values)
    refused(
        output, "damaged, 000000.json: it does not say how many frames there are, or how the run goes on after them"
    )


@pytest.mark.parametrize("records", [None, [], [{}], [{}, 1]])
def test_records_that_are_not_the_frames(output, records):
    change(work(output) / "000000.json", records=records)
    refused(output, "damaged, 000000.json: it has not one record for each frame")


PACKETS = [None, [], [[1, 2]], [[-1, 0, True]], [[1, 2**62, True]], [[1, 0.5, True]], [[1, 0, 1]], [[2**70, 0, True]]]


@pytest.mark.parametrize("output", ["out.mkv"], indirect=True)
@pytest.mark.parametrize(
    "values", [*({"packets": packets} for packets in PACKETS), {"duration": 0}, {"duration": None}]
)
def test_packets_that_are_not_those_of_the_film(output, values):
    change(work(output) / "000001.json", **values)
    refused(output, "damaged, 000001.json: its packets are not those of 000001.packets")


@pytest.mark.parametrize("output", ["out.mkv"], indirect=True)
def test_packets_that_are_cut_short_or_gone(output):
    path = work(output) / "000000.packets"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(VideoError, match="its packets are not those of 000000.packets"):
        begin(output, resume=True)
    path.unlink()
    refused(output, "its packets are not those of 000000.packets")


def test_another_runs_fields_are_not_repeated(output):
    change(work(output) / "job.json", **{"\ud800" * 1000: 1})
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
