"""A bundle on disk, every file of it verified."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from flowxfer.bundle.graph_check import check_graph
from flowxfer.bundle.manifest import COMBINE, DECODE, ENCODE, SAMPLE, WEIGHTS, Manifest, member, sha256
from flowxfer.errors import BundleError

__all__ = ["Bundle"]


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk; :meth:`open` makes one."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """Open a bundle folder and verify every file.

        Raises:
            BundleError: the folder, a file or the manifest is missing or damaged, or something points out of the
                folder; the message names the file.
        """
        folder = Path(path)
        manifest = Manifest.read(folder)
        for name, expected in manifest.files.items():
            try:
                actual = sha256(member(folder, name))
            except FileNotFoundError:
                raise BundleError(f"expected the file {name} in the bundle {folder}, but it is missing") from None
            if actual != expected:
                raise BundleError(
                    f"{name} in {folder} is damaged: expected SHA-256 {expected}, got {actual}; fetch the bundle again"
                )
        for name in manifest.files.keys() & {ENCODE, DECODE, COMBINE, SAMPLE}:
            check_graph(folder / name, manifest, WEIGHTS)
        return cls(folder, manifest)
