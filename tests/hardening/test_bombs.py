"""Small files that would grow to gigabytes."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
import zlib
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from flowxfer import images
from flowxfer.errors import ImageError
from flowxfer.images.arrays import read_npz

HUGE = 50_000


@contextmanager
def little_memory():
    """No more than 32 MiB at a time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(side, *chunks):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def webp(side):
    body = b"WEBPVP8X" + struct.pack("<IB3x", 10, 0) + (side - 1).to_bytes(3, "little") * 2
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif(side):
    frame = struct.pack("<BHHHHB", 0x2C, 0, 0, side, side, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6) + frame * 100 + b";"


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.png", png(HUGE)), ("a.gif", gif(HUGE)), ("a.bmp", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40,
      HUGE, HUGE, 1, 24, 0, 0, 0, 0, 0, 0))],
    ids=["png", "gif", "bmp"],
)  # fmt: skip
def test_a_picture_that_says_it_is_enormous_is_refused_by_its_header(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with little_memory(), pytest.raises(ImageError, match=rf"{name} is larger than [\d,]+ pixels; make it smaller"):
        images.load(tmp_path / name)


def test_a_webp_that_says_it_is_enormous_is_refused(tmp_path):
    (tmp_path / "a.webp").write_bytes(webp(16_384))
    with pytest.raises(ImageError):
        images.load(tmp_path / "a.webp")


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_text_that_grows_takes_no_memory(tmp_path, kind):
    packed = zlib.compress(bytes(2**28), 9)
    head = b"name\0\1\0\0\0" if kind == b"iTXt" else b"name\0\0"
    with io.BytesIO() as out:
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(out, "PNG")
        sound = out.getvalue()
    (tmp_path / "a.png").write_bytes(sound[:33] + chunk(kind, head + packed) + sound[33:])
    with little_memory():
        try:
            images.load(tmp_path / "a.png")
        except ImageError as error:
            assert "a.png" in str(error)  # noqa: PT017 - either is right


def test_a_zip_of_arrays_that_grows_is_refused(tmp_path):
    archive = zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("names.npy", "w", force_zip64=True) as file:
        for _ in range(257):
            file.write(bytes(2**20))
    with pytest.raises(ValueError, match="names would unpack to more than 268,435,456 bytes"):
        read_npz(tmp_path / "a.npz", "names")


def test_names_that_grow_from_one_to_the_next_are_refused():
    """A byte more in each makes half a gigabyte of names of a table of a few hundred kilobytes."""
    from flowxfer.glow.importers.sstable import entries
    from tests.glow.tensorflow_files import sealed, table, varint, with_index

    names = [b"n" * length for length in range(1, 257)]
    assert [name for name, _ in entries(memoryview(table([(name, b"") for name in names])))] == [
        name.decode() for name in names
    ]
    added = b"".join(varint(length) + b"\1\0n" for length in range(30_000))  # of each the whole name before it
    content = sealed(added + struct.pack("<II", 0, 1))
    grows = with_index(content, [(b"n", varint(0) + varint(len(content) - 5))])
    with little_memory(), pytest.raises(ValueError, match="a name has more than 256 bytes"):
        list(entries(memoryview(grows)))
