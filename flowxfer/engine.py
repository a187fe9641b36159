"""What runs a bundle: ONNX Runtime, or PyTorch where it does more.

Both map pictures to latents and back; :class:`flowxfer.Transferer` asks nothing else of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from flowxfer.bundle import PRECISIONS, Bundle, LatentKind, Precision
from flowxfer.errors import InputError, MissingExtraError
from flowxfer.gpu import Variant
from flowxfer.session import Session

Images = npt.NDArray[np.uint8]
Array = npt.NDArray[np.floating[Any]]
EngineName = Literal["onnxruntime", "torch"]

__all__ = ["Chunk", "Engine", "EngineName", "start"]


class Chunk(Protocol):
    """Latents of one batch, where the engine keeps them."""

    @property
    def count(self) -> int:
        """Number of samples."""

    def levels(self) -> list[Array]:
        """The samples of each level, (count, C, H, W), on the host."""


C = TypeVar("C", bound=Chunk)


class Engine(Protocol[C]):
    """Runs one bundle; see :class:`flowxfer.session.Session` for what each call takes."""

    batch_size: int
    providers: tuple[str, ...]

    @property
    def numerics(self) -> str:
        """What computes how: latents come back to the last pixel only where it is the same."""

    def encode(self, images: Images, bin_width: int) -> list[C]:
        """Map images to latents."""

    def decode(
        self, z: Sequence[C], direction: Sequence[C], alpha: Array, bin_width: int, kind: LatentKind
    ) -> Iterator[Images]:
        """Map ``z + alpha · direction`` to images, a batch at a time."""

    def upload(self, levels: Sequence[Array]) -> list[C]:
        """Bring latents of the host to where the engine keeps them."""

    def linear(self, weights: Array, chunks: Sequence[C]) -> C:
        """Linear combinations of samples."""


def start(
    engine: EngineName,
    bundle: Bundle,
    *,
    precision: Precision | None = None,
    providers: Sequence[str] | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    variant: Variant | None = None,
    cuda_graphs: bool = False,
) -> Engine[Any]:
    """Load a bundle into an engine; see :class:`flowxfer.Transferer` for the arguments.

    Raises:
        InputError: the engine is unknown, or does not compute the bundle in that precision.
        MissingExtraError: the engine is not installed.
    """
    for name, value in (("batch_size", batch_size), ("threads", threads)):
        if value is not None and value < 1:
            raise InputError(f"expected {name} of at least 1, got {value}")
    if precision not in (None, *PRECISIONS):
        raise InputError(f"expected a precision of {', '.join(PRECISIONS)}, got {precision!r}")
    if engine == "onnxruntime":
        if precision not in (None, bundle.manifest.precision):
            raise InputError(
                f"expected {bundle.manifest.precision}, which the graphs of {bundle.manifest.name} are written in, got"
                f' {precision}; engine="torch" computes a bundle in any exact precision'
            )
        return Session(
            bundle,
            providers=providers,
            batch_size=batch_size,
            threads=threads,
            variant=variant,
            cuda_graphs=cuda_graphs,
        )
    if engine != "torch":
        raise InputError(f"expected the engine {' or '.join(get_args(EngineName))}, got {engine!r}")
    if variant is not None:
        raise InputError(f'expected no variant with engine="torch", which has precisions, got {variant!r}')
    try:
        from flowxfer.torch_engine import TorchEngine
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "export", 'engine="torch"') from error
    return TorchEngine(
        bundle,
        precision=precision,
        providers=providers,
        batch_size=batch_size,
        threads=threads,
        cuda_graphs=cuda_graphs,
    )
