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
from pathlib import Path
from typing import Any

import numpy as np

from flowxfer.bundle import PRECISIONS, Manifest
from flowxfer.engines.ort.providers import CPU
from flowxfer.engines.probes import PROBES, probe
from flowxfer.engines.protocol import Engine
from flowxfer.errors import ExactnessError
from flowxfer.files import replacing
from flowxfer.latents import Latents
from flowxfer.models.cache import cache_folder
from flowxfer.types import Chunk, Images

_BATCH = 8
_PACKAGES = ("flowxfer", "onnxruntime", "onnxruntime-gpu", "torch", "openvino")
_FINE = 1 / 16  # of a grey level: bins whose centres are near the lower edges of whole ones
_LARGE = 128  # pixels from which two pictures have to do, for eight would take minutes

log = logging.getLogger(__name__)

__all__ = ["check_round_trip", "lost"]


def lost(engine: Engine[Any], manifest: Manifest) -> dict[str, float]:
    """Share of the values that do not come back, for each way of cutting the pictures into batches."""
    images = _pictures(manifest.image_size)
    count = len(images)
    together = _encoded(engine, manifest, images)
    levels = zip(*(_encoded(engine, manifest, image[None]).levels for image in images), strict=True)
    alone = Latents([np.concatenate(level) for level in levels], together.model_hash, together.numerics)
    ways = {
        f"encoded and decoded {count} at a time": [together],
        f"encoded {count} at a time and decoded one by one": [together[i] for i in range(count)],
        f"encoded one by one and decoded {count} at a time": [alone],
    }
    return {
        way: float((np.concatenate([_decoded(engine, manifest, part) for part in parts]) != images).mean())
        for way, parts in ways.items()
    }


def check_round_trip(engine: Engine[Any], manifest: Manifest) -> None:
    """Refuse an exact precision that loses pixels here; a combination that is known to be safe is not tried again.

    Args:
        engine: what computes.
        manifest: of the model that it computes.

    Raises:
        ExactnessError: the message says what did not come back, and what to take instead.
    """
    if _known(engine, manifest):
        return
    combination = _combination(engine, manifest)
    record = _record(combination)
    if record.is_file():
        return
    log.info("first use of %s with %s: trying its round trip", manifest.name, engine.numerics)
    found = lost(engine, manifest) | {"encoded near the edges of their bins": _lost_at_the_edge(engine, manifest)}
    way, share = max(found.items(), key=lambda item: item[1])
    if share:
        raise ExactnessError(
            f"expected every pixel back from {manifest.name} in {engine.numerics}, but {share:.3%} of"
            f" the values differ when {way}; take {_way_out(engine, way)}"
        )
    _remember(record, combination)


def _lost_at_the_edge(engine: Engine[Any], manifest: Manifest) -> float:
    """Share of the values that do not come back where they lie half of :data:`_FINE` above the edge of their bin."""
    images = _pictures(manifest.image_size)
    latents = _encoded(engine, manifest, images, bin_width=_FINE)
    return float((_decoded(engine, manifest, latents) != images).mean())


def _encoded(engine: Engine[Any], manifest: Manifest, images: Images, bin_width: float = 1) -> Latents:
    encode: Callable[..., Sequence[Chunk]] = engine.encode  # which is asked for whole bins otherwise
    return Latents.on_device(encode(images, bin_width), manifest.model_hash, engine.numerics)


def _decoded(engine: Engine[Any], manifest: Manifest, latents: Latents) -> Images:
    nowhere = engine.upload([np.zeros((1, *shape)) for shape in manifest.latent_shapes])
    chunks = latents.chunks(engine.upload)
    return np.concatenate(list(engine.decode(chunks, nowhere, np.zeros((len(latents), 1)), 1, manifest.latents)))


def _pictures(size: int) -> Images:
    kinds, count = list(PROBES), _BATCH if size < _LARGE else 2
    return np.stack([probe(kinds[i % len(kinds)], size, seed=i) for i in range(count)])


def _known(engine: Engine[Any], manifest: Manifest) -> bool:
    """Whether nothing is promised, or the export tried this very combination."""
    tried_by_export = engine.providers[0] == CPU and manifest.parity.get("round_trip_wrong") == 0
    return engine.numerics in PRECISIONS or tried_by_export  # a bare precision is one that promises nothing


def _way_out(engine: Engine[Any], way: str) -> str:
    if engine.providers[0] == CPU:
        return "another model, for these weights are too wild even for float64"
    return 'engine="onnxruntime" with providers=["cpu"]' + (", or a batch_size of 1" if "one by one" in way else "")


def _record(combination: dict[str, object]) -> Path:
    digest = hashlib.sha256(json.dumps(combination, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "round-trips" / f"{digest[:32]}.json"


def _combination(engine: Engine[Any], manifest: Manifest) -> dict[str, object]:
    """Everything that a net's last bits can hang on."""
    return {
        "model": manifest.model_hash,
        "numerics": engine.numerics,
        "providers": engine.providers,
        "machine": [platform.node(), platform.platform()],
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    from importlib import metadata  # here, for it loads a library of e-mail

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _remember(record: Path, combination: dict[str, object]) -> None:
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        with replacing(record) as temporary:
            temporary.write_text(json.dumps(combination, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        log.info("the round trip will be tried again, for %s cannot be written: %s", record, error)
