"""Whether what promises exact round trips keeps its promise here.

Exactness rests on a net giving the same answer in both directions, whatever the batch. That is so where it was tried:
an export tries its graphs on ONNX Runtime's CPU provider and writes the outcome into the manifest. Any other
combination of model, precision, engine, provider and versions is tried when it is first loaded; that it passed is
remembered in the cache folder.

Eight pictures cannot stand for all, so they are tried with room to spare: once more with colours that are not in the
middle of their bins but a 32nd of a grey level from the edge, where a sixteenth of the error that is harmless otherwise
loses a pixel. That catches an engine whose state has fewer bits than float64.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowxfer.bundle import PRECISIONS
from flowxfer.engines.ort.providers import CPU
from flowxfer.engines.probes import PROBES, probe
from flowxfer.errors import ExactnessError
from flowxfer.files import replacing
from flowxfer.latents import Latents
from flowxfer.models.cache import cache_folder
from flowxfer.types import Images

if TYPE_CHECKING:
    from flowxfer.engines.protocol import Engine
    from flowxfer.transferer import Transferer
    from flowxfer.types import Chunk

_BATCH = 8
_PACKAGES = ("flowxfer", "onnxruntime", "onnxruntime-gpu", "torch", "openvino")
_FINE = 1 / 16  # of a grey level: bins whose centres are near the lower edges of whole ones
_LARGE = 128  # pixels from which two pictures have to do, for eight would take minutes

log = logging.getLogger(__name__)

__all__ = ["check_round_trip", "lost"]


def lost(transferer: Transferer) -> dict[str, float]:
    """Share of the values that do not come back, for each way of cutting the pictures into batches."""
    images = _pictures(transferer.size)
    count = len(images)
    together = transferer.encode(images)
    levels = zip(*(transferer.encode(image).levels for image in images), strict=True)
    alone = Latents([np.concatenate(level) for level in levels], together.model_hash, together.numerics)
    ways = {
        f"encoded and decoded {count} at a time": [transferer.decode(together)],
        f"encoded {count} at a time and decoded one by one": [transferer.decode(together[i]) for i in range(count)],
        f"encoded one by one and decoded {count} at a time": [transferer.decode(alone)],
    }
    return {way: float((np.concatenate(decoded) != images).mean()) for way, decoded in ways.items()}


def check_round_trip(transferer: Transferer, engine: Engine[Any]) -> None:
    """Refuse an exact precision that loses pixels here; a combination that is known to be safe is not tried again.

    Args:
        transferer: what makes the promise.
        engine: what computes it.

    Raises:
        ExactnessError: the message says what did not come back, and what to take instead.
    """
    if _known(transferer):
        return
    record = _record(transferer)
    if record.is_file():
        return
    log.info("first use of %s with %s: trying its round trip", transferer.manifest.name, transferer.numerics)
    found = lost(transferer) | {"encoded near the edges of their bins": _lost_at_the_edge(transferer, engine)}
    way, share = max(found.items(), key=lambda item: item[1])
    if share:
        raise ExactnessError(
            f"expected every pixel back from {transferer.manifest.name} in {transferer.numerics}, but {share:.3%} of"
            f" the values differ when {way}; take {_way_out(transferer, way)}"
        )
    _remember(record, transferer)


def _lost_at_the_edge(transferer: Transferer, engine: Engine[Any]) -> float:
    """Share of the values that do not come back where they lie half of :data:`_FINE` above the edge of their bin."""
    encode: Callable[..., Sequence[Chunk]] = engine.encode  # which is asked for whole bins otherwise
    images = _pictures(transferer.size)
    latents = Latents.on_device(encode(images, _FINE), transferer.manifest.model_hash, transferer.numerics)
    return float((transferer.decode(latents) != images).mean())


def _pictures(size: int) -> Images:
    kinds, count = list(PROBES), _BATCH if size < _LARGE else 2
    return np.stack([probe(kinds[i % len(kinds)], size, seed=i) for i in range(count)])


def _known(transferer: Transferer) -> bool:
    """Whether nothing is promised, or the export tried this very combination."""
    tried_by_export = transferer.providers[0] == CPU and transferer.manifest.parity.get("round_trip_wrong") == 0
    return transferer.numerics in PRECISIONS or tried_by_export  # a bare precision is one that promises nothing


def _way_out(transferer: Transferer, way: str) -> str:
    if transferer.providers[0] == CPU:
        return "another model, for these weights are too wild even for float64"
    return 'engine="onnxruntime" with providers=["cpu"]' + (", or a batch_size of 1" if "one by one" in way else "")


def _record(transferer: Transferer) -> Path:
    digest = hashlib.sha256(json.dumps(_combination(transferer), sort_keys=True).encode()).hexdigest()
    return cache_folder() / "round-trips" / f"{digest[:32]}.json"


def _combination(transferer: Transferer) -> dict[str, object]:
    """Everything that a net's last bits can hang on."""
    return {
        "model": transferer.manifest.model_hash,
        "numerics": transferer.numerics,
        "providers": transferer.providers,
        "machine": [platform.node(), platform.platform()],
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _remember(record: Path, transferer: Transferer) -> None:
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        with replacing(record) as temporary:
            temporary.write_text(json.dumps(_combination(transferer), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        log.info("the round trip will be tried again, for %s cannot be written: %s", record, error)
