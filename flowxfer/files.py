"""Files and folders that are written whole or not at all.

What is being written has a temporary name, ``.flowxfer-…``, beside its own, and a lock that the system takes away from
a process that ends, however it ends. So what a killed process left is told from what another one is writing; it goes
when a later process first writes into the folder.

A link is followed, as ``cp`` follows it: its target changes, and the link stays. Pipes and devices are written into.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import logging
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flowxfer.errors import InputError

__all__ = [
    "destination",
    "flows_on",
    "hidden_beside",
    "locked_folder",
    "put",
    "read_regular",
    "replacing",
    "same_file",
    "sync",
    "temporary_folder",
]

log = logging.getLogger(__name__)

_PREFIX = ".flowxfer-"
_LONGEST_NAME = 255  # bytes, on nearly every file system
_MOST_LINKS = 40  # as Linux follows


@contextmanager
def replacing(path: Path, *, mode: int | None = None) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; on success it takes the name ``path``, on an error it is removed.

    A reader sees the old file or the new one, never a part of one.

    Args:
        path: a file, a link to one, or a name that is free; into a pipe or a device the bytes are written in the end.
        mode: who may read and write it; by default as for the file that is there, or for any new one.

    Raises:
        InputError: a link leads to nothing.
    """
    path = destination(path)
    folder = Path(tempfile.gettempdir()) if flows_on(path) else path.parent
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=path.suffix, dir=folder)
    os.close(handle)
    temporary = Path(name)
    with _locked(temporary):
        try:
            yield temporary
            temporary.chmod(_usual_mode() if mode is None else mode)  # mkstemp lets only the owner read
            put(temporary, path, keep_mode=mode is None)
        except OSError as error:
            if error.errno is not None and error.filename is None:  # a write that fails does not say where
                error.filename = os.fspath(path)
            raise
        finally:
            temporary.unlink(missing_ok=True)


def put(finished: Path, path: Path, *, keep_mode: bool = True) -> None:
    """Give a finished file its name, in place of a file that has it; into a pipe or a device its bytes are written.

    Args:
        finished: lies in the folder of ``path``, unless that is a pipe or a device.
        path: no link, see :func:`destination`.
        keep_mode: whether who may read and write the old file may do so with the new one.
    """
    if flows_on(path):
        with finished.open("rb") as source, path.open("wb") as sink:
            shutil.copyfileobj(source, sink)
        finished.unlink()
        return
    if keep_mode and path.is_file():
        finished.chmod(stat.S_IMODE(path.stat().st_mode))
    os.replace(finished, path)


def destination(path: Path) -> Path:
    """Follow links to what writing to a path changes; those to what a process has open, such as /dev/stdout, stay.

    Raises:
        InputError: they lead to nothing.
    """
    place = path
    for _ in range(_MOST_LINKS):
        if not place.is_symlink() or _is_open_file(place):
            break
        place = place.parent.resolve() / os.readlink(place)
    else:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))
    if place != path and not place.exists():
        raise InputError(f"expected a file or nothing at {path}, got a link to nothing, {place}; remove the link")
    return place


def flows_on(path: Path) -> bool:
    """Whether what is written to a path goes elsewhere and replaces nothing: it is a pipe, a device, or /dev/stdout."""
    if not path.exists():
        return False
    if _is_open_file(destination(path)):
        return True
    kind = path.stat().st_mode
    return stat.S_ISFIFO(kind) or stat.S_ISCHR(kind)


def same_file(path: Path, others: Iterable[Path]) -> Path | None:
    """Return the first of some files that a path is too, by whatever name or link; None where it is none of them."""
    if not path.exists():
        return None
    own = path.stat()
    return next((other for other in others if other.exists() and os.path.samestat(own, other.stat())), None)


def _is_open_file(path: Path) -> bool:
    """Whether a path is one of the links by which Unix names what a process has open."""
    folder = path.parent.resolve()
    return path.is_symlink() and (folder == Path("/dev") or folder.parts[1:2] == ("proc",))


def _usual_mode() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


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


def hidden_beside(path: Path, ending: str) -> Path:
    """Name a hidden file for another's sake, ``.NAME.ending`` beside it; a name that would be too long is cut short."""
    name = f".{path.name}.{ending}"
    if len(os.fsencode(name)) > _LONGEST_NAME:
        digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
        name = f".{path.name[: _LONGEST_NAME // 8]}-{digest}.{ending}"
    return path.with_name(name)


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
