"""NumPy's files from anybody: they run no code, and take no more memory than there are numbers in them."""

from __future__ import annotations

import os
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowxfer.errors import reason

__all__ = ["read_npy", "read_npz"]

_LARGEST = 1 << 28  # bytes of one array in a .npz: a small zip can unpack to any size


def read_npy(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The array of a ``.npy`` file, mapped: a header that claims too much meets the file's size, not the memory's.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is damaged, or holds Python objects.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # a damaged header raises SyntaxError, TokenError, OverflowError and others
        raise ValueError(reason(error)) from error


def read_npz(path: str | os.PathLike[str], *names: str) -> list[NDArray[Any]]:
    """Arrays of a ``.npz`` file by their names.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is damaged, lacks an array, holds Python objects, or unpacks to more than 256 MiB an array.
    """
    try:
        with zipfile.ZipFile(path) as archive, np.load(path) as arrays:
            sizes = {name: archive.getinfo(f"{name}.npy").file_size for name in names}
            if large := [name for name, size in sizes.items() if size > _LARGEST]:
                raise ValueError(f"{', '.join(large)} would unpack to more than {_LARGEST:,} bytes")
            return [np.asarray(arrays[name]) for name in names]
    except (OSError, ValueError):
        raise
    except Exception as error:  # a damaged zip raises BadZipFile, zlib.error, KeyError and many others
        raise ValueError(reason(error)) from error
