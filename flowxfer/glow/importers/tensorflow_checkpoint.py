"""Reads TensorFlow's checkpoints without TensorFlow.

A checkpoint ("tensor bundle", version 2) is ``PREFIX.index``, a sorted table from names to BundleEntryProto, and the
bytes in ``PREFIX.data-00000-of-00001``, …; the messages are those of tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowxfer.bundle.protobuf import Message
from flowxfer.errors import WeightsError, reason
from flowxfer.glow.importers.sstable import crc32c, entries
from flowxfer.glow.importers.tensor_proto import DTYPES, shape

__all__ = ["TensorBundle", "find_prefix"]


@dataclass(frozen=True)
class _Entry:
    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int


def find_prefix(path: Path) -> Path | None:
    """The prefix of the checkpoint that a path means, or None.

    Args:
        path: a prefix, one of the checkpoint's files, or a folder whose ``checkpoint`` file names the latest.
    """
    if path.is_dir():
        return _prefix_in(path)
    prefix = path.with_name(re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path.name))
    return prefix if _index(prefix).is_file() else None


def _prefix_in(folder: Path) -> Path | None:
    listed = folder / "checkpoint"
    if listed.is_file():
        text = listed.read_text("utf-8", "replace")
        if latest := re.search(r'^model_checkpoint_path: "(.+)"', text, re.MULTILINE):
            # The path is that of the machine that trained; only its last part is sure to hold here.
            return folder / Path(latest[1]).name
    indices = list(folder.glob("*.index"))
    return indices[0].with_suffix("") if len(indices) == 1 else None


def _index(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".index")


class TensorBundle(Mapping[str, NDArray[Any]]):
    """A checkpoint's variables by name; a variable is read and checked when it is asked for.

    Args:
        prefix: the path without ``.index``.

    Raises:
        WeightsError: a file is missing, truncated, damaged or of another kind.
        MissingExtraError: google-crc32c is not installed.
    """

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        index = _index(prefix)
        try:
            table = dict(entries(memoryview(index.read_bytes())))
            self._shards = _check_header(Message(table.pop("", memoryview(b""))))
            self._entries = {name: _entry(Message(value)) for name, value in table.items()}
        except (OSError, ValueError) as error:
            raise WeightsError(
                f"expected the index of a TensorFlow checkpoint at {index}, but {reason(error)}"
            ) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, name: str) -> NDArray[Any]:
        entry = self._entries[name]
        data = self._prefix.with_name(f"{self._prefix.name}.data-{entry.shard:05d}-of-{self._shards:05d}")
        try:
            return _read(data, entry)
        except (OSError, ValueError) as error:
            raise WeightsError(f"cannot read {name} from {data}: {reason(error)}") from error


def _check_header(header: Message) -> int:
    """The number of shards in a BundleHeaderProto."""
    if header.integer(2):
        raise ValueError("its numbers are big-endian; only little-endian ones are read")
    if not 1 <= (shards := header.integer(1)) <= 99_999:
        raise ValueError("it has no header that says how many data files there are")
    return shards


def _entry(message: Message) -> _Entry:
    """A BundleEntryProto; its field 7 would be the slices of a partitioned variable."""
    if 7 in message:
        raise ValueError("it holds partitioned variables, which OpenAI's Glow does not have")
    dimensions = shape(message.message(2))
    return _Entry(
        message.integer(1), dimensions, message.integer(3), message.integer(4), message.integer(5), message.fixed32(6)
    )


def _read(path: Path, entry: _Entry) -> NDArray[Any]:
    if entry.kind not in DTYPES:
        raise ValueError(f"expected numbers, got TensorFlow's type {entry.kind}")
    dtype = np.dtype(DTYPES[entry.kind])
    if min(entry.shape, default=0) < 0 or math.prod(entry.shape) * dtype.itemsize != entry.size:
        raise ValueError(f"{entry.size} bytes do not fill the shape {entry.shape}")
    if entry.offset < 0 or entry.offset + entry.size > path.stat().st_size:
        raise ValueError("the file is truncated")
    with path.open("rb") as file:
        file.seek(entry.offset)
        content = file.read(entry.size)
    if crc32c(memoryview(content)) != entry.checksum:
        raise ValueError("it does not match its checksum; the file is damaged")
    return np.frombuffer(content, dtype).reshape(entry.shape)
