"""Files and folders that are written whole or not at all.

What is being written has a temporary name, ``.flowxfer-…``, beside its own, and a lock that the system takes away from
a process that ends, however it ends. So what a killed process left is told from what another one is writing; it goes
when a later process first writes into the folder.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["locked_folder", "read_regular", "replacing", "sync", "temporary_folder"]

log = logging.getLogger(__name__)

_PREFIX = ".flowxfer-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; on success it takes the name ``path``, on an error it is removed.

    A reader sees the old file or the new one, never a part of one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent)
    handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    with _locked(temporary):
        try:
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)  # mkstemp makes files that only their owner may read
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in ``parent``, out of which finished things can be renamed; in the end it is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(parent)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent) as name, _locked(Path(name)):
        yield Path(name)


def locked_folder(parent: Path, prefix: str) -> tuple[Path, object]:
    """Make a folder for the life of this process, and remove those that dead processes of this user left.

    Args:
        parent: where it is made; others may write there too, as in the system's temporary folder.
        prefix: of its name, and of theirs.

    Returns:
        The folder, and what holds its lock as long as it lives.
    """
    for leftover in parent.glob(f"{prefix}*"):
        try:
            state = leftover.lstat()
            if not stat.S_ISDIR(state.st_mode) or (hasattr(os, "getuid") and state.st_uid != os.getuid()):
                continue
            with _locked(leftover) as alone:
                if alone:
                    shutil.rmtree(leftover)
        except OSError as error:
            log.debug("%s stays: %s", leftover, error)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    lock = _locked(folder)
    lock.__enter__()
    return folder, lock


def read_regular(path: Path, largest: int) -> bytes:
    """The bytes of a file that is one: a device may have no end, and a pipe no writer.

    Raises:
        OSError: there is none, or something else.
        ValueError: it has more than ``largest`` bytes.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "expected a regular file", os.fspath(path))
    with path.open("rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise ValueError(f"it has more than {largest} bytes")
    return data


def sync(path: Path) -> None:
    """Wait until a file is on the disk, so that after a power cut it is there if anything is that was written later."""
    with path.open("r+b") as file:  # Windows syncs no file that is open for reading alone
        os.fsync(file.fileno())


@functools.lru_cache(maxsize=256)  # once in a process, for a folder may hold many thousands of files
def _remove_leftovers(folder: Path) -> None:
    for leftover in folder.glob(f"{_PREFIX}*"):
        try:
            with _locked(leftover) as alone:
                if alone and leftover.is_dir():
                    shutil.rmtree(leftover)
                elif alone:
                    leftover.unlink(missing_ok=True)
        except OSError as error:
            log.debug("%s stays: %s", leftover, error)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold the lock of a file or folder; yield False where another process has it, or there are no locks."""
    handle = None if sys.platform == "win32" else _lock(path)  # Windows renames no file that is open
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def _lock(path: Path) -> int | None:
    import fcntl

    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle
