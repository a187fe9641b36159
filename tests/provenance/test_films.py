"""Marks in films: the frames stay, and others read them."""

from __future__ import annotations

import struct

import av
import numpy as np
import pytest

from flowxfer.errors import ProvenanceError
from flowxfer.provenance import EDITED, GENERATED, Mark, mark, read, stamp, tags
from flowxfer.provenance.xmp import packet
from tests.provenance.samples import FILMS, MARK, SAID, exiftool, film, pixels, said
from tests.provenance.test_xmp import FOREIGN


@pytest.fixture(params=FILMS)
def path(request, tmp_path):
    return film(tmp_path / request.param, **FILMS[request.param])


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def test_no_frame_changes_and_the_mark_is_read_back(path):
    before, data = pixels(path), path.read_bytes()
    mark(path, MARK)
    assert path.read_bytes().startswith(data)  # all there was, and a box behind it
    assert len(before) == 12
    assert np.array_equal(pixels(path), before)
    assert read(path).mark() == MARK


def test_the_box_is_the_one_of_the_specification(path):
    data = path.read_bytes()
    mark(path, MARK)
    added = path.read_bytes()[len(data) :]
    assert struct.unpack_from(">I", added)[0] == len(added)
    assert added[4:24] == b"uuid" + bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
    assert said(added[24:]) == SAID


def test_exiftool_reads_the_mark(path):
    mark(path, MARK)
    (found,) = exiftool("-validate", "-warning", "-error", "-XMP:all", path)
    assert {name: found[name] for name in SAID} == {**SAID, "Alpha": [0.4, "0.3,0.4,0.5"]}
    assert found["Validate"] == "OK"


def test_a_second_mark_takes_the_place_of_the_first(path):
    mark(path, Mark(GENERATED, model="a longer name than the other has"))
    mark(path, MARK)
    twice = path.read_bytes()
    mark(path, MARK)
    assert path.read_bytes() == twice
    assert twice.count(packet(MARK)) == twice.count(b"xpacket begin") == 1


def test_a_packet_before_the_end_becomes_free_space(path):
    mark(path, Mark(GENERATED))
    data = path.read_bytes() + box(b"free", b"1234")
    path.write_bytes(data)
    mark(path, MARK)
    assert read(path).mark() == MARK
    assert len(path.read_bytes()) > len(data)
    assert len(pixels(path)) == 12


def test_a_last_box_without_a_size_is_given_one(tmp_path):
    path = film(tmp_path / "fast.mp4", movflags="+faststart")
    before, data = pixels(path), bytearray(path.read_bytes())
    begin = data.index(b"mdat") - 4
    assert begin + struct.unpack_from(">I", data, begin)[0] == len(data)
    data[begin : begin + 4] = bytes(4)
    path.write_bytes(data)
    mark(path, MARK)
    assert np.array_equal(pixels(path), before)
    assert read(path).mark() == MARK


def test_a_last_box_too_large_to_be_given_a_size(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(box(b"ftyp", b"isom") + bytes(4) + b"mdat")
    with path.open("r+b") as file:
        file.truncate(2**32 + 100)  # a hole, which takes no room on the disk
    with pytest.raises(ProvenanceError, match="its last box has no size, and is too large to be given one"):
        stamp(path, MARK)


def test_quicktime_has_xmp_elsewhere(tmp_path):
    """In moov/udta, whose four zeros at the end are no box."""
    path = tmp_path / "a.mov"
    user = box(b"udta", box(b"XMP_", FOREIGN) + bytes(4))
    path.write_bytes(box(b"ftyp", b"qt  " + bytes(4)) + box(b"moov", box(b"mvhd", bytes(8)) + user))
    assert read(path).tool == "Camera 7"
    mark(path, MARK)
    assert read(path).source_type == EDITED
    assert read(path).tool == "Camera 7"
    assert b"XMP_" not in path.read_bytes()


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_matroska_is_marked_by_the_muxer(tmp_path, suffix):
    path = film(tmp_path / f"a{suffix}", tags(MARK))
    assert read(path).mark() == MARK
    before = path.read_bytes()
    stamp(path, MARK)  # sees that it is there
    assert path.read_bytes() == before
    with av.open(str(path)) as container:
        found = {name.upper(): value for name, value in container.metadata.items()}
    assert found["DIGITAL_SOURCE_TYPE"] == EDITED
    assert found["COMMENT"].startswith("Synthetic: changed by artificial intelligence (flowxfer 0.1.0, model tiny")
    assert said(found["XMP"].encode()) == SAID


def test_tags_of_the_film_that_was_changed_stay():
    existing = {"title": "A film", "COMMENT": "mine", "XMP": "old", "digital_source_type": "old"}
    ours = {name: value for name, value in tags(MARK).items() if name != "comment"}
    assert tags(MARK, existing) == {**ours, "title": "A film", "COMMENT": "mine"}
    assert tags(MARK, {"title": "A film"}) == {**tags(MARK), "title": "A film"}


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_exiftool_reads_the_tags_of_matroska(tmp_path, suffix):
    (found,) = exiftool(film(tmp_path / f"a{suffix}", tags(MARK)))
    assert found["DigitalSourceType"] == EDITED


def test_matroska_cannot_be_marked_later(tmp_path):
    path = film(tmp_path / "a.mkv")
    assert not read(path).synthetic
    with pytest.raises(ProvenanceError, match=r"marked by the muxer, with flowxfer.provenance.tags\(\)"):
        mark(path, MARK)


def test_a_broadcast_of_unknown_length(tmp_path):
    path = film(tmp_path / "a.mkv", tags(MARK), live="1")
    assert b"\x18\x53\x80\x67\x01" + b"\xff" * 7 in path.read_bytes()
    assert read(path).mark() == MARK


@pytest.mark.parametrize(
    ("suffix", "cut", "reason"),
    [
        (".mp4", -1, "its box at byte .* is cut short"),
        (".mp4", 35, "its box at byte .* is cut short"),
        (".mkv", -1, "its element at byte .* is cut short"),
        (".mkv", 8, "it has no element at byte|its element at byte 0 is cut short"),
    ],
)
def test_damaged_films(tmp_path, suffix, cut, reason):
    path = film(tmp_path / f"a{suffix}", movflags="+faststart")
    path.write_bytes(path.read_bytes()[:cut])
    before = path.read_bytes()
    for use in (read, lambda path: mark(path, MARK)):
        with pytest.raises(ProvenanceError, match=f"a{suffix} is damaged: ({reason})"):
            use(path)
    assert path.read_bytes() == before


def test_a_huge_packet_is_refused(tmp_path):
    path = film(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes() + box(b"uuid", bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC") + bytes(2**20)))
    with pytest.raises(ProvenanceError, match="its XMP has more than 1,048,576 bytes"):
        read(path)


def test_a_film_of_empty_boxes_does_not_take_minutes(tmp_path, monkeypatch):
    from flowxfer.provenance import parts

    monkeypatch.setattr(parts, "PARTS", 100)
    path = tmp_path / "a.mp4"
    path.write_bytes(box(b"ftyp", b"isom") + box(b"free", b"") * 101)
    with pytest.raises(ProvenanceError, match="it has more than 100 parts"):
        read(path)
