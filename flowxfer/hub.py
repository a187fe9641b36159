"""Names → bundles: the bundled model, a folder, the cache, or a download.

Two environment variables steer it: ``FLOWXFER_CACHE`` is the folder for models (by default the user's cache folder),
``FLOWXFER_OFFLINE=1`` forbids the network.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import platformdirs

from flowxfer.bundle import MANIFEST, Manifest, sha256
from flowxfer.catalogue import DEFAULT, MODELS, SAMPLER, Model
from flowxfer.errors import BundleError, DownloadError, LatentsError, MissingExtraError, reason
from flowxfer.files import replacing

__all__ = ["DEFAULT", "MODELS", "SAMPLER", "Model", "Progress", "cache_folder", "fetch", "list_models", "resolve"]

log = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with what is being done, how many bytes or steps of it, and of how many, where that is known."""

_ATTEMPTS = 3  # connections that a download may take; each goes on where the one before broke off
_TIMEOUT_S = 30
_CHUNK = 1 << 18


def cache_folder() -> Path:
    """Where downloaded and converted models are kept: ``FLOWXFER_CACHE`` or the user's cache folder."""
    folder = os.environ.get("FLOWXFER_CACHE")
    try:
        return Path(folder).expanduser().absolute() if folder else platformdirs.user_cache_path("flowxfer")
    except RuntimeError as error:
        raise DownloadError("expected a home folder for the cache, but there is none; set FLOWXFER_CACHE") from error


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
        if _is_name(name) and _has_manifest(_cached(name)):
            return _cached(name)
        if (known := MODELS.get(name)) and known.urls:
            return _converted(known, progress or _silent)
    if Path(name).is_dir():
        return Path(name)
    if name in MODELS:
        raise BundleError(f"expected the model {name} inside flowxfer at {_bundled(name)}; install flowxfer again")
    close = difflib.get_close_matches(name, list_models(), n=1)
    hint = f"did you mean {close[0]}?" if close else "`flowxfer models` lists the names"
    raise BundleError(f"expected a model's name or a bundle's folder, got {name!r}, which is neither; {hint}")


def list_models() -> dict[str, str]:
    """Every name that :func:`resolve` takes, with where it is: ``bundled``, ``cached`` or ``to download``."""
    kept = sorted(path.name for path in _cached("x").parent.glob("*") if _is_name(path.name) and _has_manifest(path))
    found = {name: "bundled" for name in MODELS if _has_manifest(_bundled(name))}
    found |= {name: "cached" for name in kept if name not in found}
    return found | {name: "to download" for name, model in MODELS.items() if model.urls and name not in found}


def fetch(model: Model, *, progress: Progress | None = None) -> Path:
    """Download a model's published file into the cache, or find it there, and check its SHA-256.

    A download that broke off goes on where it stopped. The hash, where none is known, is the first download's: it is
    logged as a warning and remembered in a JSON file beside it, and every later download must match it.

    Raises:
        DownloadError: no address gives the file, the hash differs, or ``FLOWXFER_OFFLINE`` forbids the download.
    """
    target = cache_folder() / "downloads" / model.name / model.urls[0].rsplit("/", 1)[-1]
    with _alone(target):
        for leftover in target.parent.glob("tmp*"):  # pooch's, of a download that was killed
            leftover.unlink()
        record = target.with_name(target.name + ".json")
        expected = model.sha256 or _remembered(record)
        url = _download(model, target, expected, progress or _silent)
        if expected is None:
            digest = sha256(target)
            with replacing(record) as temporary:
                temporary.write_text(json.dumps({"url": url, "sha256": digest}, indent=2) + "\n", encoding="utf-8")
            log.warning("first download of %s: SHA-256 %s, remembered in %s", model.name, digest, record)
    return target


def _download(model: Model, target: Path, expected: str | None, progress: Progress) -> str:
    """Fetch from the first address that answers, and return it."""
    import pooch  # type: ignore[import-untyped]
    from requests import RequestException

    pooch.get_logger().setLevel(logging.WARNING)  # it prints; the library is silent
    failures = []
    for url in model.urls:
        downloader = _Resuming(model.name, target.with_name(target.name + ".part"), progress)
        known_hash = expected and f"sha256:{expected}"
        try:
            pooch.retrieve(url, known_hash=known_hash, fname=target.name, path=target.parent, downloader=downloader)
        except RequestException as error:
            failures.append(f"{url}: {error}")
        except ValueError as error:  # pooch's word for a hash that differs
            raise DownloadError(
                f"expected the SHA-256 {expected} of {model.name} from {url}, but it differs, so the file was not kept;"
                f" if the publisher changed it, delete {target}.json to accept the new one ({error})"
            ) from None
        else:
            return url
    raise DownloadError(
        f"expected {model.name} from the network, but no address gave it ({'; '.join(failures)}); try again to go on"
        f" where it stopped, or put the file at {target} yourself"
    )


@dataclass(frozen=True)
class _Resuming:
    """A downloader for pooch, whose own starts from zero each time: it collects the bytes in ``part`` and goes on.

    The server's validator (ETag or date) is kept beside the part, so that halves of two versions are never joined.
    """

    name: str
    part: Path
    progress: Progress

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        from requests import ConnectionError, Timeout
        from requests.exceptions import ChunkedEncodingError

        if os.environ.get("FLOWXFER_OFFLINE", "0") not in ("", "0"):
            raise DownloadError(
                f"{self.name} is not in the cache, and FLOWXFER_OFFLINE forbids to download it; unset it, or put"
                f" {url} at {self.part.with_suffix('')} yourself"
            )
        for attempt in range(_ATTEMPTS):
            try:
                self._go_on(url)
                break
            except (ChunkedEncodingError, ConnectionError, Timeout):
                if attempt + 1 == _ATTEMPTS:
                    raise
        os.replace(self.part, output_file)
        self._validator.unlink(missing_ok=True)

    @property
    def _validator(self) -> Path:
        return self.part.with_name(self.part.name + ".validator")

    def _go_on(self, url: str) -> None:
        import requests

        headers = {"Accept-Encoding": "identity"}  # a range counts the bytes of the file, not of its compression
        if self.part.exists() and self._validator.exists():
            headers |= {"Range": f"bytes={self.part.stat().st_size}-", "If-Range": self._validator.read_text()}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
            if answer.status_code == 416:  # the server has no byte beyond the part: begin anew
                self._validator.unlink()
                return self._go_on(url)
            answer.raise_for_status()
            resumed = answer.status_code == 206
            done = self.part.stat().st_size if resumed else 0
            length = answer.headers.get("Content-Length")
            total = done + int(length) if length else None
            with self.part.open("ab" if resumed else "wb") as file:
                self._validator.unlink(missing_ok=True)
                etag = answer.headers.get("ETag", "W/")
                if validator := answer.headers.get("Last-Modified") if etag.startswith("W/") else etag:
                    self._validator.write_text(validator)
                for chunk in answer.iter_content(_CHUNK):
                    done += file.write(chunk)
                    self.progress(f"download {self.name}", done, total)


def _converted(model: Model, progress: Progress) -> Path:
    """Download, import and export a model, once; another process that wants it waits for the first."""
    folder = _cached(model.name)
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "export,import", f"converting {model.name}") from None
    from flowxfer.export import export_bundle
    from flowxfer.glow.importers import import_weights

    weights = fetch(model, progress=progress)
    vectors = _vectors(model, progress)
    with _alone(folder):
        if not _has_manifest(folder):
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
        _say_without(_cached(model.name), "no address gave them")
        return None


def _add_attributes(vectors: Path, folder: Path) -> None:
    from flowxfer.attributes import ATTRIBUTES, Attributes

    try:
        Attributes.from_openai(vectors, Manifest.read(folder)).save(folder / ATTRIBUTES)
    except LatentsError as error:
        _say_without(folder, str(error))


def _say_without(folder: Path, why: str) -> None:
    from flowxfer.attributes import ATTRIBUTES

    hint = f"`flowxfer attributes import` makes {folder / ATTRIBUTES} of them once you have them"
    log.warning("%s comes without its attribute vectors: %s; %s", folder.name, why, hint)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time work on ``path``; the lock goes when its process does."""
    from filelock import FileLock

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"expected a folder to write to at {path.parent}: {error}; set FLOWXFER_CACHE") from error
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


def _remembered(record: Path) -> str | None:
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["sha256"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DownloadError(
            f"expected a SHA-256 in {record}: {reason(error)}; delete it to accept a new one"
        ) from error


def _bundled(name: str) -> Path:
    return Path(str(resources.files("flowxfer") / "data" / "models" / name)) if _is_name(name) else Path(os.devnull)


def _cached(name: str) -> Path:
    return cache_folder() / "models" / name


def _has_manifest(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) is not None


def _silent(what: str, done: int, total: int | None) -> None:
    pass
