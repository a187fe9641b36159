"""Where frames come from."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from flowxfer.errors import unimportable
from flowxfer.video.io.frames import Frame
from flowxfer.video.io.stream_format import Look

__all__ = ["Source", "require_av"]


class Source:
    """Frames in order of time; a context manager.

    Attributes:
        path: the film, or the folder of the pictures; None for an iterable.
        start: where the range begins, in seconds; None is the source's beginning.
        end: where the range ends; None is the source's end.
        size: height and width of the upright pictures, with square pixels.
        rate: average frames per second.
        count: how many frames the range holds, an estimate for films; None if nobody knows.
        fingerprint: tells this source and its range from others; None for an iterable.
        look: how the pictures are stored.
    """

    path: Path | None = None
    start: Fraction | None
    end: Fraction | None
    size: tuple[int, int]
    rate: Fraction
    count: int | None
    fingerprint: str | None = None
    look: Look

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """Yield the frames from the first-th of the range on.

        Raises:
            VideoError: there is no frame in the range, or the source cannot be read on.
        """
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing stays open but what the iterators of :meth:`frames` hold."""


def require_av(purpose: str) -> None:
    """Say which extra brings PyAV where it is absent.

    Args:
        purpose: what needs it, as the subject of a sentence.

    Raises:
        MissingExtraError: PyAV is not installed.
    """
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise unimportable(error, "av", "video", purpose) from error
