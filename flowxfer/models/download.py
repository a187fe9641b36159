"""Published files into the cache, resumed where a download broke off, and held to their SHA-256."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from flowxfer.bundle import sha256
from flowxfer.errors import DownloadError, reason
from flowxfer.files import replacing
from flowxfer.models.cache import alone, cache_folder, offline
from flowxfer.models.catalogue import Model

__all__ = ["Progress", "fetch", "silent"]

log = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with what is being done, how many bytes or steps of it, and of how many, where that is known."""

_ATTEMPTS = 3  # connections that a download may take; each goes on where the one before broke off
_TIMEOUT_S = 30
_CHUNK = 1 << 18


def fetch(model: Model, *, progress: Progress | None = None) -> Path:
    """Download a model's published file into the cache, or find it there, and check its SHA-256.

    A download that broke off goes on where it stopped. The hash, where none is known, is the first download's: it is
    logged as a warning and remembered in a JSON file beside it, and every later download must match it.

    Raises:
        DownloadError: no address gives the file, the hash differs, or ``FLOWXFER_OFFLINE`` forbids the download.
    """
    target = cache_folder() / "downloads" / model.name / model.urls[0].rsplit("/", 1)[-1]
    with alone(target):
        for leftover in target.parent.glob("tmp*"):  # pooch's, of a download that was killed
            leftover.unlink()
        record = target.with_name(target.name + ".json")
        expected = model.sha256 or _remembered(record)
        url = _download(model, target, expected, progress or silent)
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

        if offline():
            raise DownloadError(
                f"{self.name} is not in the cache, and FLOWXFER_OFFLINE forbids downloads; unset it, or put"
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


def _remembered(record: Path) -> str | None:
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["sha256"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DownloadError(
            f"expected a SHA-256 in {record}: {reason(error)}; delete it to accept a new one"
        ) from error


def silent(what: str, done: int, total: int | None) -> None:
    """Progress that nobody watches."""
