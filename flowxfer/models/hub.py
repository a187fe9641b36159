"""Names → bundles: the bundled model, a folder, the cache, or a download.

Two environment variables steer it: ``FLOWXFER_CACHE`` is the folder for models (by default the user's cache folder),
``FLOWXFER_OFFLINE=1`` forbids the network.
"""

from __future__ import annotations

import difflib
import os
import re
from importlib import resources
from pathlib import Path

from flowxfer.bundle import MANIFEST
from flowxfer.errors import BundleError
from flowxfer.models.cache import cached_model
from flowxfer.models.catalogue import DEFAULT, MODELS, PHOTOGRAPHS, SAMPLER, Model
from flowxfer.models.conversion import converted
from flowxfer.models.download import Progress, silent

__all__ = ["DEFAULT", "MODELS", "PHOTOGRAPHS", "SAMPLER", "Model", "list_models", "resolve"]


def resolve(model: str | os.PathLike[str] = DEFAULT, *, progress: Progress | None = None) -> Path:
    """Find the bundle of a model, downloading and converting it where necessary.

    Args:
        model: the name of a bundled, cached or known model, or a bundle's folder. A name goes before a folder of the
            same name; ``./name`` is always the folder.
        progress: called while a model is downloaded and converted.

    Returns:
        The bundle's folder; :meth:`flowxfer.bundle.Bundle.open` verifies what is in it.

    Raises:
        BundleError: there is no such model or folder.
        DownloadError: the model cannot be fetched, or its hash is not the expected one.
        WeightsError: a downloaded file holds what the importer does not understand.
        MissingExtraError: converting needs PyTorch and onnx.
    """
    name = os.fspath(model)
    if isinstance(model, str):
        if _has_manifest(_bundled(name)):
            return _bundled(name)
        if _is_name(name) and _has_manifest(cached_model(name)):
            return cached_model(name)
        if (known := MODELS.get(name)) and known.urls:
            return converted(known, progress or silent)
    if Path(name).is_dir():
        return Path(name)
    if name in MODELS:
        raise BundleError(f"expected the model {name} inside flowxfer at {_bundled(name)}; install flowxfer again")
    close = difflib.get_close_matches(name, list_models(), n=1)
    hint = f"did you mean {close[0]}?" if close else "`flowxfer models` lists the names"
    raise BundleError(f"expected a model's name or a bundle's folder, got {name!r}, which is neither; {hint}")


def list_models() -> dict[str, str]:
    """Every name that :func:`resolve` takes, with where it is: ``bundled``, ``cached`` or ``to download``."""
    kept = sorted(
        path.name for path in cached_model("x").parent.glob("*") if _is_name(path.name) and _has_manifest(path)
    )
    found = {name: "bundled" for name in MODELS if _has_manifest(_bundled(name))}
    found |= {name: "cached" for name in kept if name not in found}
    return found | {name: "to download" for name, model in MODELS.items() if model.urls and name not in found}


def _bundled(name: str) -> Path:
    return Path(str(resources.files("flowxfer") / "data" / "models" / name)) if _is_name(name) else Path(os.devnull)


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) is not None


def _has_manifest(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()
