"""What real cameras and programs put into pictures: damaged profiles, clear colours, other programs' metadata."""

from __future__ import annotations

import os
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

from flowxfer import images
from flowxfer.errors import ImageError
from flowxfer.glow.training.data import Faces
from flowxfer.provenance import EDITED, Mark, read
from flowxfer.provenance.marking import _mapped
from flowxfer.video import open_source

TAG = ExifTags.Base
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 64, 3), np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path, width, height, depth, colour, rows, *more):
    """Write a PNG chunk by chunk: Pillow writes no such colours."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [chunk(b"IHDR", header), *more, chunk(b"IDAT", body), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


# ---------------------------------------------------------------- colour profiles


def profiled_jpeg(path, number, count):
    """A JPEG whose profile says that it is one part of several, the others of which are missing."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(PIXELS).save(path, quality=95, icc_profile=profile)
    data = bytearray(path.read_bytes())
    place = data.index(b"ICC_PROFILE\0") + 12
    data[place : place + 2] = number, count
    path.write_bytes(data)
    return path


def damaged_jpeg(folder):
    return profiled_jpeg(folder / "a.jpg", 1, 2)


def miscounted_jpeg(folder):
    return profiled_jpeg(folder / "a.jpg", 0, 0)


def damaged_png(folder):
    rows = [row.tobytes() for row in PIXELS]
    return png(folder / "a.png", 64, 40, 8, 2, rows, chunk(b"iCCP", b"sRGB\0\0not packed at all"))


@pytest.mark.parametrize("made", [damaged_jpeg, miscounted_jpeg, damaged_png])
def test_a_damaged_profile_is_left_behind(tmp_path, made):
    original = made(tmp_path)
    with Image.open(original) as image:
        assert not image.info.get("icc_profile")
    images.save(images.load(original), tmp_path / "new.png", Mark(EDITED), original=original)
    assert np.array_equal(images.load(tmp_path / "new.png"), images.load(original))
    assert read(tmp_path / "new.png").synthetic
    with Image.open(tmp_path / "new.png") as image:
        assert "icc_profile" not in image.info


# ---------------------------------------------------------------- clear colours


@pytest.mark.parametrize("colour", [0, 2])
def test_a_clear_colour_of_16_bits_becomes_white(tmp_path, colour):
    """PNG names one colour that is clear; here black, in grey and in RGB."""
    values = np.array([[0, 40_000], [0xFFFF, 257]], ">u2")
    rows = [np.repeat(row, 3 if colour else 1).tobytes() for row in values]
    clear = chunk(b"tRNS", bytes(6 if colour else 2))
    path = png(tmp_path / "a.png", 2, 2, 16, colour, rows, clear)
    assert images.load(path)[0, 0].tolist() == [255] * 3
    assert images.load(path)[1].tolist() == [[255] * 3, [1] * 3]
    assert abs(int(images.load(path)[0, 1, 0]) - 40_000 / 257) <= 1


# ---------------------------------------------------------------- EXIF


def exif_of(path):
    with Image.open(path) as image:
        exif = image.getexif()
        return dict(exif), dict(exif.get_ifd(ExifTags.IFD.Exif)), dict(exif.get_ifd(ExifTags.IFD.GPSInfo))


def test_exif_of_a_tiff_says_nothing_of_how_the_tiff_is_stored(tmp_path):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[TAG.Copyright], info[TAG.Make] = "somebody", "a camera"
    Image.fromarray(PIXELS).save(tmp_path / "a.tif", tiffinfo=info, compression="tiff_lzw")
    for suffix in ("png", "jpg", "webp"):
        images.save(PIXELS, tmp_path / f"new.{suffix}", original=tmp_path / "a.tif")
        assert exif_of(tmp_path / f"new.{suffix}")[0] == {TAG.Copyright: "somebody", TAG.Make: "a camera"}


def test_sizes_are_those_of_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[TAG.Orientation], exif[TAG.Copyright] = 6, "somebody"
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {TAG.ExifImageWidth: 64, TAG.ExifImageHeight: 40, TAG.SubjectLocation: (9, 9), TAG.FNumber: 2.0}
    )
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)
    upright = images.load(tmp_path / "a.jpg")
    assert upright.shape == (64, 40, 3)
    images.save(upright, tmp_path / "new.jpg", original=tmp_path / "a.jpg")
    own, camera, place = exif_of(tmp_path / "new.jpg")
    assert TAG.Orientation not in own
    assert own[TAG.Copyright] == "somebody"
    assert (camera[TAG.ExifImageWidth], camera[TAG.ExifImageHeight]) == (40, 64)
    assert TAG.SubjectLocation not in camera
    assert camera[TAG.FNumber] == 2
    assert place[ExifTags.GPS.GPSLatitudeRef] == "N"


@pytest.mark.parametrize(("suffix", "kept"), [("png", True), ("webp", True), ("jpg", False)])
def test_exif_that_is_too_large_for_jpeg(tmp_path, caplog, suffix, kept):
    exif = Image.Exif()
    exif[TAG.Copyright] = "somebody"
    exif.get_ifd(ExifTags.IFD.Exif)[TAG.UserComment] = bytes(70_000)
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    images.save(PIXELS, tmp_path / f"new.{suffix}", original=tmp_path / "a.png")
    assert bool(exif_of(tmp_path / f"new.{suffix}")[1]) == kept
    assert ("bytes are more than JPEG holds" in caplog.text) != kept


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_picture_with_damaged_exif_is_a_picture(tmp_path):
    """An orientation that is text, and a directory that points beyond its end."""
    exif = Image.Exif()
    exif[TAG.Orientation] = 6
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", quality=95, exif=exif)
    whole = (tmp_path / "a.jpg").read_bytes()
    begin = whole.index(b"Exif\0\0")
    pixels = images.load(tmp_path / "a.jpg")
    end = begin - 2 + int.from_bytes(whole[begin - 2 : begin], "big")
    for place in range(begin + 6, end):
        for value in (0, 0xFF):
            data = bytearray(whole)
            data[place] = value
            (tmp_path / "b.jpg").write_bytes(data)
            shape = images.load(tmp_path / "b.jpg").shape
            assert shape in (pixels.shape, PIXELS.shape)
            images.save(np.zeros(shape, np.uint8), tmp_path / "new.png", original=tmp_path / "b.jpg")


def test_extended_xmp_is_missed(tmp_path, caplog):
    note = "http://ns.adobe.com/xmp/note/"
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:n="{note}" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" n:HasExtendedXMP="0123"'
        ' tiff:Compression="6" tiff:Make="a camera"/></rdf:RDF></x:xmpmeta>'
    )
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", xmp=xmp.encode())
    images.save(PIXELS, tmp_path / "new.jpg", Mark(EDITED), original=tmp_path / "a.jpg")
    assert "the extended XMP of" in caplog.text
    with _mapped(tmp_path / "new.jpg") as data:
        said = bytes(data)
    assert b"a camera" in said
    assert b"HasExtendedXMP" not in said
    assert b"tiff:Compression" not in said


# ---------------------------------------------------------------- what is in folders


def heic(path):
    path.write_bytes(struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(200))
    return path


@pytest.mark.parametrize("name", ["face.heic", "IMG_0001.JPG", "face.HEIF"])
def test_heic_is_called_by_its_name(tmp_path, name):
    with pytest.raises(ImageError, match=r"got HEIC; convert it to JPEG first"):
        images.load(heic(tmp_path / name))


def test_jpeg_xl_is_called_by_its_name(tmp_path):
    (tmp_path / "a.jxl").write_bytes(b"\xff\x0a" + bytes(40))
    with pytest.raises(ImageError, match=r"got JPEG XL; convert it"):
        images.load(tmp_path / "a.jxl")


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b.jfif", "c.JPE", "._a.jpg"):
        Image.fromarray(PIXELS[:40, :40]).save(tmp_path / name, "JPEG")
    (tmp_path / "._b.png").write_bytes(b"\0\5\26\7 a file of macOS")
    for name in (".thumbnails", "__MACOSX"):
        (tmp_path / name).mkdir()
    Image.fromarray(PIXELS).save(tmp_path / ".thumbnails" / "a.png")
    (tmp_path / "__MACOSX" / "._a.jpg").write_bytes(b"\0\5\26\7 a file of macOS")
    heic(tmp_path / "d.heic")
    heic(tmp_path / "e.HEIC")
    return tmp_path


def test_jpeg_by_all_its_names_is_taken_and_heic_named(folder, caplog):
    assert [path.name for path in images.expand([folder])] == ["a.jpg", "b.jfif", "c.JPE"]
    assert "d.heic and 1 more left out: HEIC pictures are not read here; convert them to JPEG" in caplog.text
    assert [path.name for path in images.expand([f"{folder}/*"])] == ["a.jpg", "b.jfif", "c.JPE"]


def test_training_takes_the_same(folder, caplog):
    faces = Faces(str(folder), 40)
    assert [path.name for path in faces.paths] == ["a.jpg", "b.jfif", "c.JPE"]
    assert faces.batch(8, np.random.default_rng(0), flips=False).shape == (8, 40, 40, 3)
    assert "HEIC" in caplog.text


# ---------------------------------------------------------------- pipes


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("use", [images.load, lambda path: images.expand([path]), open_source])
def test_a_pipe_is_called_one(tmp_path, use):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageError, match=r"expected a file at .*pipe, got a pipe or a device; write what comes out of"):
        use(tmp_path / "pipe")
    assert threading.active_count() < 50
