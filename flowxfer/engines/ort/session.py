"""ONNX Runtime sessions of one bundle: batches, and latents that stay on the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flowxfer.bundle import COMBINE, DECODE, ENCODE, PRECISIONS, SAMPLE, Bundle, LatentKind, Precision
from flowxfer.engines.batching import DEFAULT_BATCH_SIZE, Batched, bucket, cores
from flowxfer.engines.options import EngineOptions
from flowxfer.engines.ort.cuda import cuda_options
from flowxfer.engines.ort.cuda_graphs import CapturedGraphs
from flowxfer.engines.ort.providers import CPU, CUDA, TENSORRT, activate, choose, runtime
from flowxfer.engines.ort.session_pool import LARGEST, Bound, Graph, SessionPool
from flowxfer.engines.ort.tensorrt import check_tensorrt, tensorrt_options
from flowxfer.errors import ProviderError
from flowxfer.latents import check_finite
from flowxfer.types import Array, Images

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, OrtValue


__all__ = ["Chunk", "Session"]


@dataclass(frozen=True)
class Chunk:
    """Latents of one batch on the device: a value per level, whose first ``count`` samples are real."""

    values: tuple[OrtValue, ...]
    count: int

    @property
    def rows(self) -> int:
        """Samples, with the padding."""
        return int(self.values[0].shape()[0])

    def levels(self) -> list[Array]:
        """The real samples of each level, copied to the host."""
        return [value.numpy()[: self.count] for value in self.values]


class Session(Batched):
    """Runs a bundle's graphs; safe to call from several threads.

    On a GPU batches are padded to powers of two, so that a provider that prepares for a shape meets few of them. A
    batch that does not fit the memory is halved, for good. On a CPU the threads share out a batch of small images
    among them.

    Args:
        bundle: a verified bundle.
        options: how to run it.
    """

    def __init__(self, bundle: Bundle, options: EngineOptions = EngineOptions()) -> None:  # noqa: B008  # it is frozen
        self._bundle, self._options, self._explicit = bundle, options, options.providers is not None
        self._largest = options.batch_size or DEFAULT_BATCH_SIZE["cuda"]
        self.providers: tuple[str, ...] = tuple(choose(options.providers))
        if TENSORRT in self.providers:
            check_tensorrt(bundle.manifest)
        encode = self._open(ENCODE)
        self.providers = tuple(encode.get_providers())  # what it really got; the other graphs follow it
        self.device = "cuda" if self.providers[0] in (CUDA, TENSORRT) else "cpu"  # other providers take host memory
        if self.device == "cpu" and (options.tf32 or options.cuda_graphs):
            asked = "CUDA graphs" if options.cuda_graphs else "tf32=True"
            raise ProviderError(f"expected a CUDA provider for {asked}, got {self.providers[0]}; see `flowxfer doctor`")
        self._encode = self._runs(ENCODE, encode)
        self._combine = self._open_arithmetic()
        self._decoders = {bundle.manifest.latents: self._runs(DECODE, self._open(DECODE))}
        super().__init__(options.batch_size or DEFAULT_BATCH_SIZE[self.device])
        self._names = [f"z{level}" for level in range(len(bundle.manifest.latent_shapes))]
        self._dtype = np.dtype(bundle.manifest.latents_dtype)
        self.numerics = _numerics(bundle.manifest.precision, options.tf32, self.providers[0])

    def encode(self, images: Images, bin_width: int) -> list[Chunk]:
        """Map images (N, S, S, 3) to latents on the device.

        Raises:
            BundleError: they are not finite, which is looked at on a CPU alone.
        """

        def run(part: slice) -> Chunk:
            count = part.stop - part.start
            batch = _padded(images[part], self._bucket(count))
            feed = {"image": batch, "bin_width": np.array(bin_width, np.float32)}
            values = tuple(_run(self._encode, feed, self._names, self.device))
            if self.device == "cpu":  # on a GPU they would have to be copied for it
                check_finite(value.numpy() for value in values)
            return Chunk(values, count)

        return list(self._batches(len(images), run))

    def decode(
        self, z: Sequence[Chunk], direction: Sequence[Chunk], alpha: Array, bin_width: int, kind: LatentKind
    ) -> Iterator[Images]:
        """Map ``z + alpha · direction`` to images, a batch at a time.

        Args:
            z: latents of one sample or of N.
            direction: latents of one sample or of N.
            alpha: strengths, shape (N, 1) or (N, levels).
            bin_width: grey levels per bin of the result.
            kind: of the latents: the bundle's, or ``"eps"`` to sample.
        """
        decoder = self._decoder(kind)

        alpha = np.broadcast_to(alpha, (len(alpha), len(self._names))).astype(self._dtype)

        def run(part: slice) -> Images:
            count = part.stop - part.start
            bucket = self._bucket(count)
            feed: dict[str, Any] = dict(zip(self._names, self._rows(z, part, bucket), strict=True))
            directions = [name.replace("z", "direction") for name in self._names]
            feed |= zip(directions, self._rows(direction, part, bucket), strict=True)
            feed |= {
                "alpha": _padded(alpha[part], bucket),
                "bin_width": np.array(bin_width, np.float32),
            }
            images: Images = _run(decoder, feed, ["image"], "cpu")[0].numpy()[:count]
            return images

        return self._batches(len(alpha), run)

    def _open(self, graph: str, threads: int | None = None) -> InferenceSession:
        options = {}
        if CUDA in self.providers:
            options[CUDA] = cuda_options(tf32=self._options.tf32, cuda_graphs=self._options.cuda_graphs)
        if TENSORRT in self.providers:
            options[TENSORRT] = tensorrt_options(
                self._bundle.manifest, graph, largest=self._largest, cuda_graphs=self._options.cuda_graphs
            )
        path = self._bundle.path / graph
        threads = threads or self._options.threads
        return activate(path, self.providers, explicit=self._explicit, threads=threads, options=options)

    def _open_arithmetic(self) -> Graph:
        """The graph of sums: TensorRT would build an engine for every number of terms, so CUDA runs it there.

        It is a few products of vectors: a second thread would only wait.
        """
        providers = [CUDA] if self.providers[0] == TENSORRT else self.providers
        options = {CUDA: cuda_options(tf32=self._options.tf32, cuda_graphs=False)} if CUDA in providers else {}
        path = self._bundle.path / COMBINE
        return Bound(activate(path, providers, explicit=self._explicit, threads=1, options=options))

    def _runs(self, graph: str, session: InferenceSession) -> Graph:
        """What runs the graph that a session was opened for."""
        if self._options.cuda_graphs:
            return CapturedGraphs(session)
        lanes = self._options.threads or cores()
        if self.providers[0] != CPU or lanes == 1 or self._bundle.manifest.image_size > LARGEST:
            return Bound(session)
        return SessionPool(Bound(session), lambda: self._open(graph, threads=1), lanes)

    def _decoder(self, kind: LatentKind) -> Graph:
        with self._lock:
            if kind not in self._decoders:
                self._decoders[kind] = self._runs(SAMPLE, self._open(SAMPLE))
            return self._decoders[kind]

    def upload(self, levels: Sequence[Array]) -> list[Chunk]:
        """Latents of the host on the device."""
        value = runtime().OrtValue.ortvalue_from_numpy
        count = len(levels[0])
        parts = [slice(start, min(start + self.batch_size, count)) for start in range(0, count, self.batch_size)]
        return [
            Chunk(
                tuple(value(np.ascontiguousarray(z[part], self._dtype), self.device, 0) for z in levels),
                part.stop - part.start,
            )
            for part in parts
        ]

    def linear(self, weights: Array, chunks: Sequence[Chunk]) -> Chunk:
        """Linear combinations of samples, on the device.

        Args:
            weights: shape (M, N); the result's sample i is the sum over j of ``weights[i, j]`` times sample j.
            chunks: N samples.
        """
        total: tuple[OrtValue, ...] | None = None
        start = 0
        for chunk in chunks:
            part = np.zeros((len(weights), chunk.rows), self._dtype)
            part[:, : chunk.count] = weights[:, start : start + chunk.count]
            start += chunk.count
            if total is None:
                total = self._sum(chunk.values, part, chunk.values, np.zeros_like(part))
            else:
                total = self._sum(total, np.eye(len(weights), dtype=self._dtype), chunk.values, part)
        assert total is not None
        return Chunk(total, len(weights))

    def _sum(self, x: Sequence[OrtValue], a: Array, y: Sequence[OrtValue], b: Array) -> tuple[OrtValue, ...]:
        feed: dict[str, Any] = {"a": a, "b": b}
        feed |= {f"x{level}": value for level, value in enumerate(x)}
        feed |= {f"y{level}": value for level, value in enumerate(y)}
        return tuple(_run(self._combine, feed, self._names, self.device))

    def _rows(self, chunks: Sequence[Chunk], part: slice, bucket: int) -> tuple[OrtValue, ...]:
        """Samples ``part``, padded to the bucket; all of them where there is only one."""
        count = sum(chunk.count for chunk in chunks)
        if count == 1 and chunks[0].rows == 1:
            return chunks[0].values
        start = 0
        for chunk in chunks:
            if start == part.start and chunk.rows == bucket and chunk.count == part.stop - part.start:
                return chunk.values
            start += chunk.count
        weights = np.zeros((bucket, count))
        weights[np.arange(part.stop - part.start), np.arange(part.start, part.stop)] = 1
        return self.linear(weights, chunks).values

    def _bucket(self, count: int) -> int:
        return count if self.device == "cpu" else bucket(count, self.batch_size)


def _run(graph: Graph, feed: Mapping[str, Any], outputs: Sequence[str], device: str) -> Sequence[OrtValue]:
    feed = {n: np.asarray(value, order="C") if isinstance(value, np.ndarray) else value for n, value in feed.items()}
    return graph.run(feed, outputs, device)


def _numerics(precision: Precision, tf32: bool, provider: str) -> str:
    """What computes how; a float32 state promises no exact round trip, so there it does not matter where."""
    if PRECISIONS[precision][0] == "float32":
        return precision
    name = f"{precision} in TF32" if tf32 else precision
    return f"{name}, ONNX Runtime on {provider.removesuffix('ExecutionProvider')}"


def _padded(batch: npt.NDArray[Any], bucket: int) -> npt.NDArray[Any]:
    """The batch with its last sample repeated up to the bucket."""
    return batch if len(batch) == bucket else np.concatenate([batch, np.repeat(batch[-1:], bucket - len(batch), 0)])
