"""TensorFlow's checkpoints: what is read, and each way in which one may be broken."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from flowxfer.errors import MissingExtraError, WeightsError
from flowxfer.glow.importers.tensorflow_checkpoint import TensorBundle, find_prefix
from tests.glow.tensorflow_files import block, data, entry, number, sealed, table, varint, with_index, write_checkpoint

ARRAYS = {f"scope/{name}": np.arange(size, dtype=np.float32) for size, name in enumerate("abcdefghij", 1)}
ARRAYS |= {"matrix": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.array(7, np.int32)}


def index_of(prefix):
    return prefix.with_name(prefix.name + ".index")


def change(path, position, value=None):
    """Flip a bit of one byte, or set it."""
    content = bytearray(path.read_bytes())
    content[position] = content[position] ^ 1 if value is None else value
    path.write_bytes(bytes(content))


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("shards", [1, 3])
def test_every_variable_comes_back(tmp_path, shards):
    bundle = TensorBundle(write_checkpoint(tmp_path, ARRAYS, shards=shards))
    assert set(bundle) == set(ARRAYS)
    assert len(bundle) == len(ARRAYS)
    for name, array in ARRAYS.items():
        assert bundle[name].dtype == array.dtype
        np.testing.assert_array_equal(bundle[name], array, strict=True)


def test_an_unknown_name_is_a_key_error(tmp_path):
    with pytest.raises(KeyError):
        TensorBundle(write_checkpoint(tmp_path, ARRAYS))["nothing"]


def test_a_checkpoint_is_found_by_any_of_its_names(tmp_path):
    prefix = write_checkpoint(tmp_path, ARRAYS)
    for path in (prefix, index_of(prefix), tmp_path / "model.ckpt.data-00000-of-00001", tmp_path):
        assert find_prefix(path) == prefix
    assert find_prefix(tmp_path / "other") is None


def test_a_folder_s_checkpoint_file_names_the_latest(tmp_path):
    write_checkpoint(tmp_path, ARRAYS, name="first.ckpt")
    second = write_checkpoint(tmp_path, ARRAYS, name="second.ckpt")
    assert find_prefix(tmp_path) is None
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/second.ckpt"\n')
    assert find_prefix(tmp_path) == second


# ---------------------------------------------------------------- a broken index


def test_a_missing_index_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"expected the index of a TensorFlow checkpoint at .*nothing.index, but"):
        TensorBundle(tmp_path / "nothing")


@pytest.mark.parametrize("keep", [0, 20, -1])
def test_a_truncated_index_is_refused(tmp_path, keep):
    index = index_of(prefix := write_checkpoint(tmp_path, ARRAYS))
    index.write_bytes(index.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="does not end in a table's footer; it is truncated or another kind of file"):
        TensorBundle(prefix)


def test_an_index_that_lost_its_middle_is_refused(tmp_path):
    index = index_of(prefix := write_checkpoint(tmp_path, ARRAYS))
    index.write_bytes(index.read_bytes()[-60:])
    with pytest.raises(WeightsError, match="a block lies outside the file"):
        TensorBundle(prefix)


@pytest.mark.parametrize("position", [3, 100, -60])
def test_a_damaged_index_is_refused(tmp_path, position):
    change(index_of(prefix := write_checkpoint(tmp_path, ARRAYS)), position)
    with pytest.raises(WeightsError, match="a block does not match its checksum; the file is damaged"):
        TensorBundle(prefix)


@pytest.mark.parametrize(("compression", "name"), [(1, "Snappy"), (2, "Zstandard"), (9, "type 9")])
def test_a_compressed_index_is_refused(tmp_path, compression, name):
    prefix = write_checkpoint(tmp_path, ARRAYS, compression=compression)
    with pytest.raises(WeightsError, match=rf"its blocks are compressed \({name}\); save the checkpoint again"):
        TensorBundle(prefix)


def test_another_byte_order_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="its numbers are big-endian; only little-endian ones are read"):
        TensorBundle(write_checkpoint(tmp_path, ARRAYS, endianness=1))


def test_partitioned_variables_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="it holds partitioned variables"):
        TensorBundle(write_checkpoint(tmp_path, ARRAYS, extra=data(7, b"")))


def test_a_table_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "other.index").write_bytes(table([(b"key", b"")]))
    with pytest.raises(WeightsError, match="it has no header that says how many data files there are"):
        TensorBundle(tmp_path / "other")


@pytest.mark.parametrize(
    ("value", "message"),
    [(b"\x0f", "a field has the wire type 7"), (data(6, b"crc"), "field 6 is not of four bytes")],
)
def test_an_entry_that_is_no_message_is_refused(tmp_path, value, message):
    (tmp_path / "other.index").write_bytes(table([(b"", b"\x08\x01"), (b"key", value)]))
    with pytest.raises(WeightsError, match=message):
        TensorBundle(tmp_path / "other")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x01\x01\x00k", "an entry lies outside its block"),  # shares a byte with a key before the first
        (b"\x00\x7f\x00k", "an entry lies outside its block"),
        (b"\x00\x01\x7fk", "an entry lies outside its block"),
        (b"\x00\x01\x00k\x00", "an entry lies outside its block"),  # a number that reaches into the restarts
        (b"\x00\x01\x00\xff", "can't decode byte 0xff"),
    ],
)
def test_damaged_entries_are_refused(tmp_path, content, message):
    content = sealed(content + b"\0\0\0\0\x01\0\0\0")
    (tmp_path / "x.index").write_bytes(with_index(content, [(b"k", varint(0) + varint(len(content) - 5))]))
    with pytest.raises(WeightsError, match=message):
        TensorBundle(tmp_path / "x")


def test_a_block_that_is_shorter_than_its_restarts_is_refused(tmp_path):
    content = sealed(b"\xff\0\0\0")
    (tmp_path / "x.index").write_bytes(with_index(content, [(b"k", varint(0) + varint(len(content) - 5))]))
    with pytest.raises(WeightsError, match="a block's entries do not end where they should"):
        TensorBundle(tmp_path / "x")


def test_blocks_that_overlap_are_refused(tmp_path):
    """A small file could otherwise list one large block any number of times."""
    content = block([(b"", b"\x08\x01")])
    handle = varint(0) + varint(len(content) - 5)
    (tmp_path / "x.index").write_bytes(with_index(content, [(b"k", handle), (b"l", handle)]))
    with pytest.raises(WeightsError, match="two blocks overlap"):
        TensorBundle(tmp_path / "x")


# ---------------------------------------------------------------- broken data


def test_a_missing_shard_is_refused(tmp_path):
    prefix = write_checkpoint(tmp_path, ARRAYS, shards=2)
    (tmp_path / "model.ckpt.data-00001-of-00002").unlink()
    bundle = TensorBundle(prefix)
    assert bundle["matrix"].shape == (2, 3)
    with pytest.raises(WeightsError, match=r"cannot read scope/a from .*data-00001-of-00002: .*No such file"):
        bundle["scope/a"]


def test_truncated_data_is_refused(tmp_path):
    prefix = write_checkpoint(tmp_path, ARRAYS)
    shard = tmp_path / "model.ckpt.data-00000-of-00001"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"cannot read step from .*: the file is truncated"):
        TensorBundle(prefix)["step"]


def test_damaged_data_is_refused(tmp_path):
    prefix = write_checkpoint(tmp_path, ARRAYS)
    change(tmp_path / "model.ckpt.data-00000-of-00001", 0)
    with pytest.raises(WeightsError, match=r"cannot read matrix from .*: it does not match its checksum"):
        TensorBundle(prefix)["matrix"]


def test_a_shape_that_its_bytes_do_not_fill_is_refused(tmp_path):
    prefix = write_checkpoint(tmp_path, ARRAYS)
    huge = entry(ARRAYS["matrix"], 0, 0).replace(data(2, b"\x08\x03"), data(2, b"\x08\x7f"))
    index_of(prefix).write_bytes(table([(b"", b"\x08\x01"), (b"matrix", huge)]))
    with pytest.raises(WeightsError, match=r"24 bytes do not fill the shape \(2, 127\)"):
        TensorBundle(prefix)["matrix"]


def test_a_negative_offset_is_refused(tmp_path):
    prefix = write_checkpoint(tmp_path, ARRAYS)
    negative = entry(ARRAYS["matrix"], 0, 0).replace(number(4, 0), number(4, -8))
    index_of(prefix).write_bytes(table([(b"", b"\x08\x01"), (b"matrix", negative)]))
    with pytest.raises(WeightsError, match=r"cannot read matrix from .*: the file is truncated"):
        TensorBundle(prefix)["matrix"]


def test_text_is_no_weight(tmp_path):
    prefix = write_checkpoint(tmp_path, ARRAYS)
    index_of(prefix).write_bytes(table([(b"", b"\x08\x01"), (b"names", b"\x08\x07")]))
    with pytest.raises(WeightsError, match="expected numbers, got TensorFlow's type 7"):
        TensorBundle(prefix)["names"]


# ---------------------------------------------------------------- what is not installed


def test_without_google_crc32c_the_extra_is_named(tmp_path, monkeypatch):
    prefix = write_checkpoint(tmp_path, ARRAYS)
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "google_crc32c":
            raise ModuleNotFoundError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"google-crc32c, which is not installed; .* 'flowxfer\[import\]'"):
        TensorBundle(prefix)
