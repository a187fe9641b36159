"""A bundle's graphs in OpenVINO on a CPU, behind the calls of :class:`flowxfer.engines.ort.session.Session`.

OpenVINO's CPU plugin has no float64: it computes every graph in float32, the state of an exact bundle too. So the grid
of :mod:`flowxfer.export.nets` no longer makes a round trip exact; it is where a model's rounding errors stay far below
a grey level, which :mod:`flowxfer.engines.round_trip` tries.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from flowxfer.bundle import DECODE, ENCODE, PRECISIONS, SAMPLE, Bundle, LatentKind
from flowxfer.engines.batching import DEFAULT_BATCH_SIZE, Batched, cores
from flowxfer.engines.options import EngineOptions
from flowxfer.errors import ProviderError, reason, unimportable
from flowxfer.latents import check_finite
from flowxfer.types import Array, Images

Feed = Mapping[str, npt.NDArray[Any]]

PIECES = (4, 2)  # faces of a batch that run as one, side by side with as many: more no longer fit a core's cache
_LARGE = 128  # pixels from which one face keeps all cores busy

__all__ = ["HostChunk", "OpenVinoEngine"]


@dataclass(frozen=True)
class HostChunk:
    """Latents of one batch on the host: (count, C, H, W) for each level."""

    values: tuple[Array, ...]

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.values[0])

    def levels(self) -> list[Array]:
        """The samples of each level."""
        return list(self.values)


class OpenVinoEngine(Batched):
    """Runs a bundle in OpenVINO; safe to call from several threads.

    Args:
        bundle: a verified bundle.
        options: how to run it: on the CPU, with ``threads`` for each graph.

    Raises:
        ProviderError: another device was asked for, or OpenVINO does not load the graphs.
        MissingExtraError: OpenVINO is not installed.
    """

    def __init__(self, bundle: Bundle, options: EngineOptions = EngineOptions()) -> None:  # noqa: B008  # it is frozen
        names = options.providers
        if names is not None and [name.lower() for name in names] != ["cpu"]:
            raise ProviderError(f'expected providers=["cpu"], or none, for engine="openvino", got {list(names)}')
        super().__init__(options.batch_size or DEFAULT_BATCH_SIZE["cpu"])
        manifest = bundle.manifest
        self.providers: tuple[str, ...] = ("openvino-cpu",)
        exact = PRECISIONS[manifest.precision][0] == "float64"
        self.numerics = f"{manifest.precision} in float32, OpenVINO on CPU" if exact else manifest.precision
        self._bundle = bundle
        self._options = _Options(options.threads, PIECES if manifest.image_size < _LARGE else (), self.batch_size)
        self._encode = _Graph(bundle.path / ENCODE, self._options)
        self._decoders = {manifest.latents: _Graph(bundle.path / DECODE, self._options)}
        self._dtype = np.dtype(manifest.latents_dtype)
        shapes = dict(enumerate(manifest.latent_shapes))
        # The arithmetic is done in front of the graph, in the latents' own precision: nothing is left to add.
        self._nowhere = {f"direction{level}": np.zeros((1, *shape), self._dtype) for level, shape in shapes.items()}
        self._nowhere["alpha"] = np.zeros((1, len(shapes)), self._dtype)

    def encode(self, images: Images, bin_width: float) -> list[HostChunk]:
        """Map images (N, S, S, 3) to latents."""
        constants = {"bin_width": np.array(bin_width, np.float32)}

        def run(part: slice) -> HostChunk:
            levels = tuple(self._encode.run({"image": images[part]}, constants))
            check_finite(levels)
            return HostChunk(levels)

        return list(self._batches(len(images), run))

    def decode(
        self, z: Sequence[HostChunk], direction: Sequence[HostChunk], alpha: Array, bin_width: float, kind: LatentKind
    ) -> Iterator[Images]:
        """Map ``z + alpha · direction`` to images, a batch at a time; see :meth:`Engine.decode`."""
        decoder, targets, directions = self._decoder(kind), _joined(z), _joined(direction)
        strengths = np.broadcast_to(alpha, (len(alpha), len(targets)))[..., None, None, None]
        constants = {**self._nowhere, "bin_width": np.array(bin_width, np.float32)}

        def run(part: slice) -> Images:
            edited = {
                f"z{level}": (_rows(target, part) + strengths[part, level] * _rows(change, part)).astype(self._dtype)
                for level, (target, change) in enumerate(zip(targets, directions, strict=True))
            }
            images: Images = decoder.run(edited, constants)[0]
            return images

        return self._batches(len(alpha), run)

    def upload(self, levels: Sequence[Array]) -> list[HostChunk]:
        """Latents of the host in the bundle's dtype."""
        return [HostChunk(tuple(np.asarray(level, self._dtype) for level in levels))]

    def linear(self, weights: Array, chunks: Sequence[HostChunk]) -> HostChunk:
        """Linear combinations of samples; see :meth:`Engine.linear`."""
        levels = _joined(chunks)
        sums = ((weights @ level.reshape(len(level), -1)).reshape(-1, *level.shape[1:]) for level in levels)
        return HostChunk(tuple(level.astype(self._dtype) for level in sums))

    def _decoder(self, kind: LatentKind) -> _Graph:
        with self._lock:
            if kind not in self._decoders:
                self._decoders[kind] = _Graph(self._bundle.path / SAMPLE, self._options)
            return self._decoders[kind]


@dataclass(frozen=True)
class _Options:
    """How graphs are compiled: for pieces of a batch side by side, and for single faces with all threads."""

    threads: int | None
    pieces: tuple[int, ...]
    batch_size: int

    def cuts(self, count: int) -> Iterator[tuple[int, list[slice]]]:
        """A size and the parts of it, for the largest pieces that keep all streams busy, then for what is left."""
        start = 0
        for size in (*self.pieces, 1):
            stop = count - (count - start) % (size * self._streams(size))
            yield size, [slice(first, first + size) for first in range(start, stop, size)]
            start = stop

    def of(self, size: int) -> dict[str, Any]:
        """OpenVINO's properties for runs of ``size`` samples."""
        return {
            "INFERENCE_PRECISION_HINT": "f32",  # where there is bfloat16, it is the default, and destroys a flow
            "INFERENCE_NUM_THREADS": self.threads or 0,
            "NUM_STREAMS": self._streams(size),
            "ENABLE_CPU_PINNING": False,  # or every process, and every model in it, sits on the same first cores
        }

    def _streams(self, size: int) -> int:
        return 1 if size == 1 else max(1, min(self.threads or cores(), self.batch_size // max(self.pieces)))


class _Graph:
    """A graph, compiled for each size of its runs when it is first met.

    One that leaves the number of samples open took up to an eighth longer, and one for every number would be compiled,
    and hold its weights, again and again.
    """

    def __init__(self, path: Path, options: _Options) -> None:
        self._path, self._options, self._core = path, options, openvino().Core()
        self._lock = threading.Lock()
        self._compiled: dict[int, Any] = {}
        try:
            self._model = self._core.read_model(path)
        except RuntimeError as error:
            raise ProviderError(f"expected OpenVINO to read {path}: {reason(error)}") from error

    def run(self, rows: Feed, constants: Feed) -> list[npt.NDArray[Any]]:
        """The outputs for N samples.

        Args:
            rows: inputs with N rows, which are cut into pieces.
            constants: inputs that are the same for all.
        """
        outputs: list[list[npt.NDArray[Any]]] = []
        for size, cuts in self._options.cuts(len(next(iter(rows.values())))):
            feeds = [{name: array[cut] for name, array in rows.items()} | dict(constants) for cut in cuts]
            outputs += self._side_by_side(feeds, size)
        return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]

    def _side_by_side(self, feeds: Sequence[Feed], size: int) -> list[list[npt.NDArray[Any]]]:
        requests = [self._ready(feed, size).create_infer_request() for feed in feeds]
        for request, feed in zip(requests, feeds, strict=True):
            request.start_async(feed)
        for request in requests:
            request.wait()
        return [[output.data for output in request.output_tensors] for request in requests]

    def _ready(self, feed: Feed, size: int) -> Any:
        with self._lock:
            if size not in self._compiled:
                model = self._model.clone()
                try:
                    model.reshape({name: list(array.shape) for name, array in feed.items()})
                    self._compiled[size] = self._core.compile_model(model, "CPU", self._options.of(size))
                except RuntimeError as error:
                    raise ProviderError(f"expected OpenVINO to compile {self._path}: {reason(error)}") from error
            return self._compiled[size]


def openvino() -> ModuleType:
    """The openvino module, imported without its telemetry.

    OpenVINO tells its makers over the network of every import, unless the package that does so is missing.

    Raises:
        MissingExtraError: it is not installed.
    """
    telemetry = "openvino_telemetry"
    silenced = telemetry not in sys.modules
    if silenced:
        sys.modules[telemetry] = None  # type: ignore[assignment]  # Python's way to say that a module is not there
    try:
        import openvino as module
    except ImportError as error:
        raise unimportable(error, error.name or "openvino", "openvino", 'engine="openvino"') from error
    finally:
        if silenced:
            del sys.modules[telemetry]
    imported: ModuleType = module
    return imported


def _joined(chunks: Sequence[HostChunk]) -> list[Array]:
    return [np.concatenate(level) for level in zip(*(chunk.levels() for chunk in chunks), strict=True)]


def _rows(level: Array, part: slice) -> Array:
    """Samples ``part``, or the one that stands for all."""
    return level if len(level) == 1 else level[part]
