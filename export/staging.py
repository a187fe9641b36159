"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowxfer.bundle import MANIFEST
from flowxfer.errors import InputError
from flowxfer.files import destination, temporary_folder

__all__ = ["new_folder"]


@contextmanager
def new_folder(folder: str | os.PathLike[str], purpose: str, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it takes the name ``folder``, on an error it is removed.

    Args:
        folder: where it is to stand.
        purpose: what it is, for the message: ``"bundle"`` or ``"repository"``.
        overwrite: whether a bundle that stands there may be replaced.

    Raises:
        InputError: something stands at ``folder`` that is not a bundle, or is one and ``overwrite`` is false.
    """
    target = destination(Path(folder))
    if target.exists() and not (overwrite and (target / MANIFEST).is_file()):
        raise InputError(f"expected a new folder for the {purpose}, but {target} exists; remove it or choose another")
    with temporary_folder(target.parent) as temporary:
        staged = temporary / "new"
        staged.mkdir()
        yield staged
        _swap(staged, target)


def _swap(staged: Path, target: Path) -> None:
    """Move the new folder into place; one that stood there goes only when it has."""
    if target.exists():
        old = staged.parent / "old"
        target.rename(old)
        try:
            staged.rename(target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old)
    else:
        staged.rename(target)
