"""What every engine can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol, TypeVar

from flowxfer.bundle import LatentKind
from flowxfer.types import Array, Chunk, Images

EngineName = Literal["onnxruntime", "torch", "openvino"]

__all__ = ["Engine", "EngineName"]

C = TypeVar("C", bound=Chunk)


class Engine(Protocol[C]):
    """Runs one bundle; see its ``Session`` for what each call takes."""

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
