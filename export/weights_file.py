"""One file of weights that several graphs share as ONNX external data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

__all__ = ["WeightsFile"]

_ALIGNMENT = 64  # bytes: a cache line, so that ONNX Runtime can map the file instead of copying it


@dataclass(frozen=True)
class _Entry:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    length: int


class WeightsFile:
    """Appends arrays to a file as they come, each name once, and refers to them from graphs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._entries: dict[str, _Entry] = {}

    def __enter__(self) -> WeightsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, name: str, array: npt.NDArray[Any]) -> None:
        """Append an array under a name that is not yet taken."""
        if name in self._entries:
            raise ValueError(f"{name} is in the weights file already")
        self._file.write(bytes(-self._file.tell() % _ALIGNMENT))
        offset = self._file.tell()
        data = np.ascontiguousarray(array).tobytes()
        self._file.write(data)
        self._entries[name] = _Entry(array.dtype, array.shape, offset, len(data))

    def flush(self) -> None:
        """Bring what was appended to the disk, for others to read."""
        self._file.flush()

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def tensor(self, name: str) -> TensorProto:
        """A TensorProto that refers to the array of that name."""
        entry = self._entries[name]
        tensor = TensorProto(
            name=name,
            data_type=onnx.helper.np_dtype_to_tensor_dtype(entry.dtype),
            dims=entry.shape,
            data_location=TensorProto.EXTERNAL,
        )
        for key, value in (("location", self._path.name), ("offset", entry.offset), ("length", entry.length)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor
