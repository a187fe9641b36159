"""The one object that most people need: faces in, faces with another's expression out."""

from __future__ import annotations

import dataclasses
import itertools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import TypeAlias

import numpy as np

from flowxfer.bundle import Bundle, LatentKind, Manifest, Precision
from flowxfer.directions import Attributes, ExpressionReader
from flowxfer.engines.options import EngineOptions, tf32_of
from flowxfer.engines.protocol import EngineName
from flowxfer.engines.round_trip import check_round_trip, lost
from flowxfer.engines.start import start
from flowxfer.errors import InputError
from flowxfer.images import Pixels, Sources, load_faces
from flowxfer.latents import Latents, alpha_per_level
from flowxfer.models import hub
from flowxfer.types import Alpha, Array, Chunk

Faces: TypeAlias = "Sources | Latents"

PAPER_ALPHAS = tuple(round(0.30 + 0.02 * step, 2) for step in range(11))

__all__ = ["PAPER_ALPHAS", "Faces", "Transferer"]


class Transferer:
    """Transfers facial expressions between faces, with one model.

    The equation is that of "Expression Transfer Using Flow-based Generative Models" (CVPR Workshops 2021):
    ``z = z_target + alpha · (z_expression − mean(z_neutral))``. Wherever faces are taken, they may be paths, PIL images
    or uint8 arrays of the model's size, one or many, or :class:`Latents` that were encoded before. Results are uint8
    arrays (N, S, S, 3). Safe to call from several threads; pickled for another process, it is loaded anew there.

    Args:
        model: a model's name, as ``flowxfer models`` lists them, or a bundle's folder.
        providers: ONNX Runtime execution providers in order of preference, such as ``["cuda"]``; None chooses.
        batch_size: largest batch; None takes 8 on a CPU, or one for each core if that is more, and 32 on a GPU.
        threads: threads on the CPU; None takes one for each core.
        engine: ``"onnxruntime"``; ``"torch"``, which needs the extra ``export``: PyTorch computes a model in any
            exact precision, and in exact-bf16 faster on processors with bfloat16; or ``"openvino"``, which needs the
            extra of that name, and computes in float32 on a CPU.
        precision: the exact precision that PyTorch computes in, such as ``"exact-bf16"``; None takes the model's own.
        tf32: on a GPU, multiply the nets' numbers in TF32: faster, with a float32 model that has a float64 state only.
        cuda_graphs: on a GPU, start each graph as one CUDA graph, captured once for each batch size.
        plain: add the paper's expression vector even where the model brings a reader of expressions (:attr:`reader`).
        variant: deprecated: ``"tf32"`` is ``tf32=True``, and the others never changed anything.

    Raises:
        BundleError: the model's files are missing or damaged.
        DownloadError: the model has to be downloaded and cannot be.
        ExactnessError: in an exact precision, pixels do not come back here. What is not known to be safe is tried
            when it is first loaded; see :mod:`flowxfer.engines.round_trip`.
        InputError: the engine cannot do what was asked for, with this model or at all.
        MissingExtraError: the engine is not installed.
        ProviderError: a provider that was asked for cannot be had.

    Examples:
        >>> flow = Transferer()
        >>> face = np.full((flow.size, flow.size, 3), 128, np.uint8)
        >>> bool((flow.decode(flow.encode(face)) == face).all())
        True
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = hub.DEFAULT,
        *,
        providers: Sequence[str] | None = None,
        batch_size: int | None = None,
        threads: int | None = None,
        engine: EngineName = "onnxruntime",
        precision: Precision | None = None,
        tf32: bool = False,
        cuda_graphs: bool = False,
        plain: bool = False,
        variant: str | None = None,
    ) -> None:
        self._bundle = Bundle.open(hub.resolve(model))
        if variant is not None:
            warnings.warn("variant is deprecated; tf32=True is variant='tf32'", DeprecationWarning, stacklevel=2)
            tf32 = tf32 or tf32_of(variant, self.manifest)
        options = EngineOptions(
            engine=engine,
            providers=providers,
            batch_size=batch_size,
            threads=threads,
            precision=precision,
            tf32=tf32,
            cuda_graphs=cuda_graphs,
        )
        self._session = start(self._bundle, options)
        self._plain = plain
        self._anew = partial(Transferer, self._bundle.path, plain=plain, **dataclasses.asdict(options))
        self._nowhere = self._session.upload([np.zeros((1, *shape)) for shape in self.manifest.latent_shapes])
        check_round_trip(self._session, self.manifest)

    def __reduce__(self) -> tuple[Callable[[], Transferer], tuple[()]]:
        return self._anew, ()

    @property
    def manifest(self) -> Manifest:
        """What the model's bundle says of itself."""
        return self._bundle.manifest

    @property
    def size(self) -> int:
        """Height and width of a face in pixels."""
        return self.manifest.image_size

    @property
    def batch_size(self) -> int:
        """Faces at a time; it falls where the device's memory holds fewer."""
        return self._session.batch_size

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers that are really active, in order."""
        return self._session.providers

    @property
    def numerics(self) -> str:
        """What computes how, such as ``"exact-fp32, ONNX Runtime on CPU"``: latents belong to it."""
        return self._session.numerics

    @cached_property
    def attributes(self) -> Attributes:
        """The attribute vectors that come with the model, by their names; of some models there are none.

        Raises:
            LatentsError: their file is damaged, or another model's.
        """
        return Attributes.of(self._bundle)

    @cached_property
    def reader(self) -> ExpressionReader | None:
        """What tells expression from light, hair and pose in a performer's pictures; None where the model brings none.

        Raises:
            LatentsError: its file is damaged, or another model's.
        """
        return ExpressionReader.of(self._bundle)

    @property
    def reads(self) -> bool:
        """Whether :meth:`direction` reads the performer's expression; otherwise it subtracts."""
        return not self._plain and self.reader is not None

    def encode(self, faces: Sources, *, quantize: bool = False) -> Latents:
        """Map aligned faces to latents, which stay on the device until they are asked for.

        Args:
            faces: one or many faces of the model's size.
            quantize: floor colours to the model's bits first, as OpenAI's code does, and keep all 8 otherwise.

        Raises:
            ShapeError: a face is not size x size.
            ImageError: a picture cannot be read.
        """
        images = load_faces(faces, self.size)
        return self._latents(self._session.encode(images, self._bin_width(quantize)))

    def decode(self, latents: Latents, *, quantize: bool = False) -> Pixels:
        """Map latents back to faces; ``decode(encode(x))`` is x, in every pixel.

        Raises:
            LatentsError: the latents are another model's.
        """
        chunks = self._chunks(latents)
        return self._decoded(chunks, self._nowhere, np.zeros((len(latents), 1)), quantize=quantize)

    def mean(self, faces: Faces) -> Latents:
        """The mean of one person's latents, as latents of one: the neutral, expressionless face of the paper."""
        chunks = self._chunks(faces)
        count = _count(chunks)
        mean = self._session.linear(np.full((1, count), 1 / count), chunks)
        return self._latents([mean])

    def direction(self, expression: Faces, neutral: Faces) -> Latents:
        """The expression vector ``z_expression − mean(z_neutral)``, one for each expression.

        Where the model brings a :attr:`reader`, only what that reads as expression is left of it, unless ``plain``.
        """
        expressions, neutrals = self._chunks(expression), self._chunks(neutral)
        count, others = _count(expressions), _count(neutrals)
        weights = np.hstack([np.eye(count), np.full((count, others), -1 / others)])
        difference = self._session.linear(weights, [*expressions, *neutrals])
        vector = self._latents([difference])
        return self.reader(vector) if self.reads and self.reader else vector

    def transfer(self, target: Faces, expression: Faces, neutral: Faces, alpha: Alpha = 0.4) -> Pixels:
        """Give targets an expression that somebody else performs.

        Args:
            target: N faces that receive.
            expression: one face that performs, or N, one for each target.
            neutral: the performer without expression; several faces are averaged in latent space.
            alpha: strength: 0 gives the target back, pixel by pixel; 1 transfers in full; the paper uses .3 to .5. One
                number, or one for each level, finest first.

        Returns:
            uint8, shape (N, S, S, 3).

        Raises:
            InputError: alpha is no finite number, or there are neither one nor N expressions.
        """
        return self.manipulate(target, self.direction(expression, neutral), alpha)

    def manipulate(self, target: Faces, direction: Latents, alpha: Alpha = 1.0) -> Pixels:
        """Move faces along a direction: ``z_target + alpha · direction``.

        Args:
            target: N faces.
            direction: latents of one, or of N, one for each target: an attribute's vector or several's sum
                (:attr:`attributes`), or the difference of any two latents.
            alpha: strength: 0 gives the target back, pixel by pixel. One number, or one for each level, finest first.

        Returns:
            uint8, shape (N, S, S, 3).

        Raises:
            InputError: alpha is no finite number, there are neither one nor N directions, or they are no latents.
            LatentsError: the direction is another model's.
        """
        if not isinstance(direction, Latents):
            raise InputError(f'expected latents, such as attributes["Smiling"], got {type(direction).__name__}')
        targets = self._chunks(target)
        return self._decoded(targets, self._chunks(direction), self._strengths(alpha, _count(targets)))

    def sweep(self, target: Faces, expression: Faces, neutral: Faces, alphas: Sequence[Alpha] = PAPER_ALPHAS) -> Pixels:
        """:meth:`transfer` of one expression to one target at several strengths.

        Only the strengths differ, so one target and one expression go to the device.

        Returns:
            uint8, shape (len(alphas), S, S, 3).
        """
        targets, directions = self._chunks(target), self._chunks(self.direction(expression, neutral))
        if _count(targets) != 1 or _count(directions) != 1:
            raise InputError(
                f"expected one target and one expression, got {_count(targets)} and {_count(directions)}; "
                "transfer() takes many"
            )
        if not len(alphas):
            raise InputError("expected at least one alpha, got none")
        return self._decoded(targets, directions, np.concatenate([self._strengths(alpha, 1) for alpha in alphas]))

    def frames(
        self, frames: Iterable[Sources], expression: Faces, neutral: Faces, alpha: Alpha = 0.4
    ) -> Iterator[Pixels]:
        """:meth:`transfer` for a stream of faces, in batches and in order.

        Args:
            frames: faces, one at a time, such as a film's; it may be endless.
            expression: one face that performs.
            neutral: the performer without expression.
            alpha: strength.

        Yields:
            One uint8 array (S, S, 3) for each frame.
        """
        direction = self.direction(expression, neutral)
        if len(direction) != 1:
            raise InputError(f"expected one expression for all frames, got {len(direction)}")
        self._strengths(alpha, 1)  # a wrong one is said before the first frame is taken
        iterator = iter(frames)
        while batch := list(itertools.islice(iterator, self._session.batch_size)):
            yield from self.manipulate(batch, direction, alpha)

    def mix(self, first: Faces, second: Faces, alpha: Alpha = 0.5) -> Pixels:
        """Interpolate in latent space: alpha 0 is the first face, 1 the second.

        Args:
            first: N faces.
            second: as many faces.
            alpha: how far to go, one number or one for each level.

        Returns:
            uint8, shape (N, S, S, 3).
        """
        a, b = self._chunks(first), self._chunks(second)
        count = _count(a)
        if _count(b) != count:
            raise InputError(f"expected as many second faces as first ones, got {count} and {_count(b)}")
        direction = self._session.linear(np.hstack([-np.eye(count), np.eye(count)]), [*a, *b])
        return self._decoded(a, [direction], self._strengths(alpha, count))

    def sample(self, n: int = 1, *, temperature: float = 0.7, seed: int | None = None) -> Pixels:
        """Draw faces from the model.

        Args:
            n: number of faces.
            temperature: factor on the standard normal eps, 0 to 10; lower is safer and plainer.
            seed: for the same faces again.

        Returns:
            uint8, shape (N, S, S, 3).
        """
        if n < 1:
            raise InputError(f"expected to sample at least 1 face, got {n}")
        if not 0 <= temperature <= 10:
            raise InputError(f"expected a temperature from 0 to 10, got {temperature!r}")
        rng = np.random.default_rng(seed)
        levels = [temperature * rng.standard_normal((n, *shape)) for shape in self.manifest.latent_shapes]
        return self._decoded(self._session.upload(levels), self._nowhere, np.zeros((n, 1)), kind="eps")

    def self_test(self) -> float:
        """Share of values that do not survive a round trip of difficult pictures; 0 in a sound exact precision.

        The pictures are those of :mod:`flowxfer.engines.probes`, encoded together and decoded one by one, and the
        other way round.
        """
        return max(lost(self._session, self.manifest).values())

    def _latents(self, chunks: Sequence[Chunk]) -> Latents:
        return Latents.on_device(chunks, self.manifest.model_hash, self.numerics)

    def _chunks(self, faces: Faces) -> Sequence[Chunk]:
        latents = faces if isinstance(faces, Latents) else self.encode(faces)
        latents.check(self.manifest.model_hash, self.numerics)
        return latents.chunks(self._session.upload)

    def _decoded(
        self,
        z: Sequence[Chunk],
        direction: Sequence[Chunk],
        alpha: Array,
        *,
        quantize: bool = False,
        kind: LatentKind | None = None,
    ) -> Pixels:
        if _count(direction) not in (1, len(alpha)):
            raise InputError(
                f"expected one expression or direction, or one for each of {len(alpha)} targets,"
                f" got {_count(direction)}"
            )
        kind = kind or self.manifest.latents
        return np.concatenate(list(self._session.decode(z, direction, alpha, self._bin_width(quantize), kind)))

    def _strengths(self, alpha: Alpha, count: int) -> Array:
        """A row for each of so many faces, with a number for each level."""
        levels = len(self.manifest.latent_shapes)
        return np.broadcast_to(alpha_per_level(alpha, levels), (count, levels))

    def _bin_width(self, quantize: bool) -> int:
        return int(2 ** (8 - self.manifest.bits)) if quantize else 1


def _count(chunks: Sequence[Chunk]) -> int:
    return sum(chunk.count for chunk in chunks)
