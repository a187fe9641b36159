"""A published model into a bundle, once: the one place in the runtime that reaches up, into the workshop."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from flowxfer.bundle import MANIFEST, Manifest
from flowxfer.errors import DownloadError, LatentsError, unimportable
from flowxfer.models.cache import alone, cached_model
from flowxfer.models.catalogue import Model
from flowxfer.models.download import Progress, fetch

__all__ = ["converted"]

log = logging.getLogger(__name__)


def converted(model: Model, progress: Progress) -> Path:
    """Download, import and export a model, once; another process that wants it waits for the first."""
    folder = cached_model(model.name)
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise unimportable(error, error.name or "torch", "export,import", f"converting {model.name}") from error
    from flowxfer.export import export_bundle
    from flowxfer.glow.importers import import_weights

    weights = fetch(model, progress=progress)
    vectors = _vectors(model, progress)
    with alone(folder):
        if not (folder / MANIFEST).is_file():
            progress(f"import {model.name}", 0, 2)
            glow = import_weights(weights)
            progress(f"export {model.name}", 1, 2)
            export_bundle(glow, folder, name=model.name, licence=model.licence, origin=model.urls[0])
            progress(f"export {model.name}", 2, 2)
            if vectors:
                _add_attributes(vectors, folder)
    return folder


def _vectors(model: Model, progress: Progress) -> Path | None:
    """Fetch a model's attribute vectors, where some are published; it is whole without them."""
    if not model.attributes:
        return None
    try:
        return fetch(replace(model, urls=model.attributes, sha256=None), progress=progress)
    except DownloadError:
        _say_without(cached_model(model.name), "no address gave them")
        return None


def _add_attributes(vectors: Path, folder: Path) -> None:
    from flowxfer.directions import ATTRIBUTES, Attributes

    try:
        Attributes.from_openai(vectors, Manifest.read(folder)).save(folder / ATTRIBUTES)
    except LatentsError as error:
        _say_without(folder, str(error))


def _say_without(folder: Path, why: str) -> None:
    from flowxfer.directions import ATTRIBUTES

    hint = f"`flowxfer attributes import` makes {folder / ATTRIBUTES} of them once you have them"
    log.warning("%s comes without its attribute vectors: %s; %s", folder.name, why, hint)
