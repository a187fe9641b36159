"""Files from anybody: whatever is in them, reading ends soon, in an answer or in one sentence."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowxfer.errors import ProvenanceError
from flowxfer.provenance import Provenance, mark, marked, read, tags
from flowxfer.provenance.xmp import packet, properties
from tests.provenance.samples import MARK, PICTURES, film, picture
from tests.provenance.test_films import box
from tests.provenance.test_xmp import FOREIGN

FILMS = {"a.mp4": None, "a.mov": None, "a.mkv": MARK}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A marked file of each kind."""
    folder = tmp_path_factory.mktemp("corpus")
    files = {}
    for name in PICTURES:
        files[name] = marked(picture(folder, name).read_bytes(), MARK)
    for name, tagged in FILMS.items():
        path = film(folder / name, tags(tagged) if tagged else None)
        if not tagged:
            mark(path, MARK)
        files[name] = path.read_bytes()
    return files


cuts = st.tuples(st.floats(0, 1), st.integers(0, 64), st.binary(max_size=16))
"""Where, how many bytes go, and what comes instead."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(cuts, min_size=1, max_size=4))
@pytest.mark.parametrize("name", [*PICTURES, *FILMS])
def test_mutated_files(tmp_path, corpus, name, changes):
    data = corpus[name]
    for place, length, new in changes:
        begin = int(place * len(data))
        data = data[:begin] + new + data[begin + length :]
    path = tmp_path / name
    path.write_bytes(data)
    for use in (read, lambda path: mark(path, MARK)):
        try:
            found = use(path)
        except ProvenanceError as error:
            assert "\n" not in str(error).strip()  # noqa: PT017
        else:
            assert found is None or isinstance(found, Provenance)


@given(data=st.binary(max_size=400))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize(
    "head", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF1234WEBP", b"1234ftypisom"]
)
def test_noise_behind_each_signature(tmp_path, head, data):
    (tmp_path / "noise").write_bytes(head + data + b".")
    try:
        assert not read(tmp_path / "noise").synthetic
    except ProvenanceError as error:
        assert "noise" in str(error)  # noqa: PT017


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_packets_of_noise(data):
    for text in (data, FOREIGN.replace(b"Camera 7", data), FOREIGN.replace(b"<dc:creator>", data)):
        try:
            properties(packet(MARK, text) if text else packet(MARK))
        except ValueError as error:
            assert str(error).startswith("its XMP")  # noqa: PT017


def test_the_largest_packet_takes_little_memory():
    rdf = FOREIGN.index(b"<dc:creator>")
    wide = FOREIGN[:rdf] + b"<a/>" * 20_000 + FOREIGN[rdf:]
    tracemalloc.start()
    packet(MARK, wide)
    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()


def test_only_what_is_looked_at_is_read(tmp_path):
    """A film of 100 GiB, nearly all of it a hole."""
    path = tmp_path / "a.mp4"
    data = box(b"ftyp", b"isom") + struct.pack(">I4sQ", 1, b"mdat", 100 * 2**30)
    with path.open("wb") as file:
        file.write(data)
        file.seek(len(data) - 16 + 100 * 2**30)
        file.write(box(b"free", b""))
    assert not read(path).synthetic
