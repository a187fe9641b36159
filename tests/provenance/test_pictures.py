"""Marks in pictures: no pixel changes, nothing else is lost, and others read them."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from flowxfer.errors import ProvenanceError
from flowxfer.provenance import EDITED, GENERATED, Mark, mark, marked, read
from flowxfer.provenance.xmp import LIMIT, packet
from tests.provenance.samples import MARK, PICTURES, SAID, exiftool, film, picture, pixels, said
from tests.provenance.test_xmp import FOREIGN


@pytest.fixture(params=PICTURES)
def path(request, tmp_path):
    return picture(tmp_path, request.param)


def test_no_pixel_changes_and_the_mark_is_read_back(path):
    before = pixels(path)
    mark(path, MARK)
    assert np.array_equal(pixels(path), before)
    found = read(path)
    assert found.synthetic
    assert (found.source_type, found.tool) == (EDITED, "flowxfer 0.1.0")
    assert (found.model, found.model_hash, found.alphas) == (MARK.model, MARK.model_hash, MARK.alphas)
    assert found.manifest is None
    assert found.mark() == MARK


def test_others_read_the_mark(path):
    mark(path, MARK)
    with Image.open(path) as image:
        image.load()
        if image.format == "GIF":  # of which Pillow does not read it
            _, _, found = path.read_bytes().partition(b"\x21\xff\x0bXMP DataXMP")
            found, _, trailer = found.partition(b"\1")
            assert trailer == bytes(range(255, -1, -1)) + b"\0;"
        else:
            found = image.info["xmp"]
    assert said(found) == SAID


def test_exiftool_reads_the_mark(path):
    mark(path, MARK)
    (found,) = exiftool("-validate", "-warning", "-error", "-XMP:all", path)
    assert {name: found[name] for name in SAID} == {**SAID, "Alpha": [0.4, "0.3,0.4,0.5"]}
    assert found["Validate"] == "OK" or path.name == "progressive.jpg"  # whose EXIF lacks what cameras write
    assert "Error" not in found


def test_a_second_mark_takes_the_place_of_the_first(path):
    mark(path, Mark(GENERATED, model="other"))
    mark(path, MARK)
    twice = path.read_bytes()
    mark(path, MARK)
    assert path.read_bytes() == twice
    assert read(path).mark() == MARK
    assert twice.count(b"W5M0MpCehiHzreSzNTczkc9d") == 1


def test_bytes_are_marked_as_files_are(path):
    data = path.read_bytes()
    mark(path, MARK)
    assert marked(data, MARK) == path.read_bytes()


def test_an_unmarked_picture_says_nothing(path):
    found = read(path)
    assert not found.synthetic
    assert (found.source_type, found.model, found.alphas, found.mark()) == (None, None, (), None)


@pytest.mark.parametrize("name", ["face.jpg", "progressive.jpg"])
def test_a_jpeg_stays_the_same_but_for_one_segment(tmp_path, name):
    path = picture(tmp_path, name)
    before = path.read_bytes()
    mark(path, MARK)
    after = path.read_bytes()
    begin = after.rindex(b"\xff\xe1", 0, after.index(b"http://ns.adobe.com"))
    (length,) = struct.unpack_from(">H", after, begin + 2)
    assert after[:begin] + after[begin + 2 + length :] == before
    assert b"Exif\0" not in before or after.index(b"Exif\0") < begin  # some readers want it first


@pytest.mark.parametrize("name", ["face.png", "animated.png"])
def test_a_png_stays_the_same_but_for_one_chunk(tmp_path, name):
    path = picture(tmp_path, name)
    before = path.read_bytes() + b"and a tail"
    after = marked(before, MARK)
    assert after[:33] == before[:33]
    (length,) = struct.unpack_from(">I", after, 33)
    assert after[33 + 12 + length :] == before[33:]
    assert struct.unpack_from(">I", after, 33 + 8 + length)[0] == zlib.crc32(after[37 : 33 + 8 + length])


def test_properties_of_others_are_kept(path):
    """A packet of somebody else's lies where ours would."""
    ours = packet(MARK)
    data = marked(path.read_bytes(), MARK)
    foreign = FOREIGN[: FOREIGN.index(b"<?xpacket end")]
    foreign += b" " * (len(ours) - len(foreign) - len(b'<?xpacket end="w"?>')) + b'<?xpacket end="w"?>'
    theirs = data.replace(ours, foreign)
    if data.startswith(b"\x89PNG"):
        begin = theirs.index(b"iTXt")
        (length,) = struct.unpack_from(">I", theirs, begin - 4)
        crc = struct.pack(">I", zlib.crc32(theirs[begin : begin + 4 + length]))
        theirs = theirs[: begin + 4 + length] + crc + theirs[begin + 8 + length :]
    path.write_bytes(theirs)
    assert len(foreign) == len(ours)
    assert read(path).source_type.endswith("digitalCapture")
    assert not read(path).synthetic
    mark(path, MARK)
    assert read(path).mark() == MARK
    assert read(path).tool == "Camera 7"


def test_compressed_text_of_png_is_read_and_bombs_are_not(tmp_path):
    path = picture(tmp_path, "face.png")
    plain = path.read_bytes()

    def with_text(text: bytes) -> None:
        body = b"iTXtXML:com.adobe.xmp\0\1\0\0\0" + text
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        path.write_bytes(plain[:33] + chunk + plain[33:])

    with_text(zlib.compress(packet(MARK)))
    assert read(path).mark() == MARK
    with_text(zlib.compress(b" " * (50 * LIMIT)))
    with pytest.raises(ProvenanceError, match="its XMP has more than 1,048,576 bytes"):
        read(path)
    with_text(b"no zlib")
    with pytest.raises(ProvenanceError, match="face.png is damaged: its XMP chunk cannot be unpacked"):
        read(path)
    body = b"iTXtXML:com.adobe.xmp\0\0\0"
    path.write_bytes(plain[:33] + struct.pack(">I", len(body) - 4) + body + bytes(4) + plain[33:])
    with pytest.raises(ProvenanceError, match="its XMP chunk is cut short"):
        read(path)


def test_formats_that_are_only_read(tmp_path):
    """TIFF and AVIF are searched for a packet."""
    for name, options in (("a.tif", {"tiffinfo": {700: FOREIGN}}), ("a.avif", {"xmp": FOREIGN})):
        Image.new("RGB", (16, 16)).save(tmp_path / name, **options)
        assert read(tmp_path / name).source_type.endswith("digitalCapture")
        with pytest.raises(ProvenanceError, match="expected a PNG, JPEG, WebP or GIF picture to mark, got "):
            mark(tmp_path / name, MARK)


def test_a_damaged_packet_is_replaced_and_not_read(tmp_path):
    path = picture(tmp_path, "face.jpg")
    mark(path, MARK)
    path.write_bytes(path.read_bytes().replace(b"</rdf:RDF>", b"</rdf:RDG>"))
    with pytest.raises(ProvenanceError, match=r"expected to read the provenance of .*face.jpg, but its XMP is no XML"):
        read(path)
    mark(path, MARK)
    assert read(path).mark() == MARK


def test_a_packet_too_large_for_jpeg(tmp_path):
    path = picture(tmp_path, "face.jpg")
    with pytest.raises(ProvenanceError, match=r"but its XMP would have [\d,]+ bytes, and JPEG holds 65,504"):
        mark(path, Mark(model="m" * 70_000))
    assert not read(path).synthetic


@pytest.mark.parametrize(
    ("name", "begin", "end", "reason"),
    [
        ("face.png", 0, -12, "ends before its last chunk"),
        ("face.png", 0, 40, "ends before its last chunk"),
        ("face.png", 0, -20, "its chunk at byte .* is cut short or out of place"),
        ("face.jpg", 0, 100, "its segment at byte .* is cut short"),
        ("face.jpg", 0, 3, "it has no segment at byte 2"),
        ("face.gif", 0, -1, "it has no block at byte"),
        ("face.gif", 0, -9, "it ends within a block"),
        ("face.gif", 0, 12, "its header is cut short"),
        ("lossless.webp", 0, -3, "it is cut short"),
    ],
)
def test_damaged_pictures(tmp_path, name, begin, end, reason):
    path = picture(tmp_path, name)
    path.write_bytes(path.read_bytes()[begin:end])
    before = path.read_bytes()
    for use in (read, lambda path: mark(path, MARK)):
        with pytest.raises(ProvenanceError, match=f"{name} is damaged: .*{reason}.*; fetch or make it again"):
            use(path)
    assert path.read_bytes() == before


def test_damaged_webp_chunks(tmp_path):
    path = picture(tmp_path, "lossless.webp")
    data = path.read_bytes()
    riff = lambda body: b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body  # noqa: E731
    for body in (data[12:] + b"abc", data[12:16] + b"\xff\xff\xff\x00" + data[20:]):
        path.write_bytes(riff(body))
        with pytest.raises(ProvenanceError, match="its chunk at byte .* is cut short"):
            read(path)
    with pytest.raises(ProvenanceError, match="it holds no picture"):
        marked(riff(b"ABCD\0\0\0\0"), MARK)


def test_too_many_parts(tmp_path, monkeypatch):
    from flowxfer.provenance import gif, parts

    monkeypatch.setattr(parts, "PARTS", 2)
    monkeypatch.setattr(gif, "_SUB_BLOCKS", 2)
    for name in ("face.png", "face.gif", "face.jpg"):
        with pytest.raises(ProvenanceError, match="it has more than 2 parts"):
            read(picture(tmp_path, name))


def test_files_that_are_no_pictures(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(ProvenanceError, match=r"expected a picture or film in .*empty.png, got an empty file"):
        read(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("text")
    assert not read(tmp_path / "text.png").synthetic
    with pytest.raises(ProvenanceError, match="got another"):
        mark(tmp_path / "text.png", MARK)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing.png")
    with pytest.raises(ProvenanceError, match="expected a PNG, JPEG, WebP or GIF picture to mark, got MP4"):
        marked(film(tmp_path / "a.mp4").read_bytes(), MARK)


def test_alphas_that_are_no_numbers_are_left_out(tmp_path):
    path = picture(tmp_path, "face.jpg")
    mark(path, Mark(alphas=(0.25, (0.5, 0.75))))
    path.write_bytes(
        path.read_bytes().replace(b"<rdf:li>0.25<", b"<rdf:li>nan.<").replace(b">0.5,0.75<", b">0.5,1e99<")
    )
    assert read(path).alphas == ((0.5, 1e99),)
