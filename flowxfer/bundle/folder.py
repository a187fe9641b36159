"""A bundle on disk, every file of it verified."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from flowxfer.bundle.external_data import external_locations
from flowxfer.bundle.manifest import COMBINE, DECODE, ENCODE, SAMPLE, WEIGHTS, Manifest, sha256
from flowxfer.errors import BundleError, reason

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
            file = folder / name
            if file.is_symlink() and file.resolve().parent != folder.resolve():
                raise BundleError(f"expected {name} inside the bundle {folder}, but it links out of it")
            if not file.is_file():
                raise BundleError(f"expected the file {name} in the bundle {folder}, but it is missing")
            if (actual := sha256(file)) != expected:
                raise BundleError(
                    f"{name} in {folder} is damaged: expected SHA-256 {expected}, got {actual}; fetch the bundle again"
                )
        for name in manifest.files.keys() & {ENCODE, DECODE, COMBINE, SAMPLE}:
            _check_external_data(folder / name)
        return cls(folder, manifest)


def _check_external_data(graph: Path) -> None:
    try:
        locations = external_locations(graph.read_bytes())
    except ValueError as error:
        raise BundleError(f"expected an ONNX graph in {graph}: {reason(error)}") from error
    if strangers := sorted(locations - {WEIGHTS}):
        raise BundleError(f"expected external data of {graph} in {WEIGHTS} only, got {', '.join(map(repr, strangers))}")
