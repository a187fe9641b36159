"""Writes TensorFlow's files, so that tests can damage them: checkpoints and frozen graphs of a few arrays."""

from __future__ import annotations

import struct

import google_crc32c
import numpy as np

FLOAT32, INT32, STRING = 1, 3, 7


def varint(value):
    out = bytearray()
    value &= 2**64 - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field, value):
    return varint(field << 3) + varint(value)


def fixed32(field, value):
    return varint(field << 3 | 5) + struct.pack("<I", value)


def data(field, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def shape_proto(shape):
    return b"".join(data(2, number(1, size)) for size in shape)


def masked_crc(content):
    crc = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


# ---------------------------------------------------------------- checkpoints


def block(entries, compression=0, restart_interval=16):
    """A table's block: keys without the prefix that they share with the key before."""
    out, restarts, last = b"", [], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % restart_interval:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        else:
            restarts.append(len(out))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return sealed(out + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts)), compression)


def sealed(content, compression=0):
    """A block's content with its trailer."""
    content += bytes([compression])
    return content + struct.pack("<I", masked_crc(content))


def table(entries, per_block=4, compression=0):
    """A sorted table of a few blocks."""
    entries = sorted(entries)
    out, index = b"", []
    for start in range(0, len(entries), per_block):
        chunk = entries[start : start + per_block]
        content = block(chunk, compression)
        index.append((chunk[-1][0], varint(len(out)) + varint(len(content) - 5)))
        out += content
    return with_index(out, index)


def with_index(blocks, index):
    """A table of these blocks, with this list of them."""
    handles = b""
    for content in (block([]), block(index)):
        handles += varint(len(blocks)) + varint(len(content) - 5)
        blocks += content
    return blocks + handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def entry(array, shard, offset, extra=b""):
    content = array.tobytes()
    return (
        number(1, FLOAT32 if array.dtype == np.float32 else INT32)
        + data(2, shape_proto(array.shape))
        + number(3, shard)
        + number(4, offset)
        + number(5, len(content))
        + fixed32(6, masked_crc(content))
        + extra
    )


def write_checkpoint(folder, variables, *, shards=1, compression=0, endianness=0, extra=b"", name="model.ckpt"):
    """Write a checkpoint and return its prefix."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = [b""] * shards
    entries = [(b"", number(1, shards) + number(2, endianness) + data(3, number(1, 1)))]
    for i, (variable, array) in enumerate(sorted(variables.items())):
        shard = i % shards
        entries.append((variable.encode(), entry(array, shard, len(contents[shard]), extra)))
        contents[shard] += array.tobytes()
    for shard, content in enumerate(contents):
        (folder / f"{name}.data-{shard:05d}-of-{shards:05d}").write_bytes(content)
    (folder / f"{name}.index").write_bytes(table(entries, compression=compression))
    return folder / name


# ---------------------------------------------------------------- frozen graphs


def attribute(name, value):
    return data(5, data(1, name) + data(2, value))


def tensor_proto(array, content=None):
    """A TensorProto; ``content`` replaces the field of values."""
    kind = {"f": FLOAT32, "i": INT32, "d": 2}[array.dtype.char]
    values = data(4, array.tobytes()) if content is None else content
    return number(1, kind) + data(2, shape_proto(array.shape)) + values


def node(name, operator, *inputs, attributes=b""):
    return data(1, data(1, name) + data(2, operator) + b"".join(data(3, i) for i in inputs) + attributes)


def const(name, array, content=None):
    array = np.asarray(array)
    return node(name, "Const", attributes=attribute("value", data(8, tensor_proto(array, content))))


def placeholder(name, shape):
    return node(name, "Placeholder", attributes=attribute("shape", data(7, shape_proto(shape))))


def graph(variables, *, image_size=8, bits=5):
    """A frozen graph of OpenAI's Glow, as far as an importer looks at it."""
    bins = np.float32(2**bits)
    out = placeholder("input/image", (-1, image_size, image_size, 3))
    for name, array in variables.items():
        out += const(name, array) + node(f"{name}/read", "Identity", name)
    out += const("model/random_uniform/max", 1 / bins)
    out += const("model_1/mul_1/y", bins) + const("model_1/mul_2/y", 256 / bins)
    return out + data(4, number(1, 26))


def folded(variables):
    """Arrays by the names that TensorFlow's constant folding leaves, of the encoder (and the decoder's with them)."""
    out = {}

    def add(name, array):
        out[f"{name}/_{len(out)}__cf__7"] = np.asarray(array, np.float32)

    for name, array in variables.items():
        if name.endswith("/logs"):
            path = name.removesuffix("logs") + "Exp"
            inverts = path.count("/") == 4 and "actnorm" in path
            add(path, np.exp(3 * array))
            add(path.replace("model/", "model_1/"), np.exp((-3 if inverts else 3) * array))
        elif name.endswith("/invconv/W"):
            path = name.removesuffix("W") + "Reshape"
            add(path, array[None, None])
            add(path.replace("model/", "model_1/"), np.linalg.inv(array.astype(np.float64))[None, None])
        else:
            add(f"{name}/read", array)
    return out
