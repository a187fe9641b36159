"""Where downloads and conversions are kept, and whether there may be new ones: two environment variables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from flowxfer.errors import DownloadError

__all__ = ["alone", "cache_folder", "cached_model", "offline"]


def cache_folder() -> Path:
    """Where downloaded and converted models are kept: ``FLOWXFER_CACHE`` or the user's cache folder."""
    folder = os.environ.get("FLOWXFER_CACHE")
    try:
        return Path(folder).expanduser().absolute() if folder else platformdirs.user_cache_path("flowxfer")
    except RuntimeError as error:
        raise DownloadError("expected a home folder for the cache, but there is none; set FLOWXFER_CACHE") from error


def offline() -> bool:
    """Whether ``FLOWXFER_OFFLINE`` forbids the network: any value but ``0`` and the empty one does."""
    return os.environ.get("FLOWXFER_OFFLINE", "0") not in ("", "0")


def cached_model(name: str) -> Path:
    """The folder of a cached model's bundle, whether or not it is there."""
    return cache_folder() / "models" / name


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process at a time work on ``path``; the lock goes when its process does."""
    from filelock import FileLock

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"expected a folder to write to at {path.parent}: {error}; set FLOWXFER_CACHE") from error
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield
