"""Frames from pictures: files, or whatever an iterable gives."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sized
from fractions import Fraction
from typing import Any

from flowxfer.errors import ImageError, ShapeError, VideoError
from flowxfer.images import expand, load
from flowxfer.video.io.frames import Frame
from flowxfer.video.io.source import Source
from flowxfer.video.io.stream_format import Look

__all__ = ["IterableSource", "PictureSource"]


class IterableSource(Source):
    """Frames from an iterable of pictures that are all of one size.

    What can be iterated over only once gives its frames once.

    Args:
        pictures: whatever :func:`flowxfer.images.load` takes: uint8 arrays, PIL images, paths.
        rate: frames per second.
        start: seconds.
        end: seconds; the frames from there on are left out.

    Raises:
        VideoError: there is no picture.
        ShapeError: a picture is not uint8, or of another shape.
    """

    def __init__(
        self, pictures: Iterable[Any], *, rate: Fraction, start: Fraction | None = None, end: Fraction | None = None
    ) -> None:
        self.rate, self.start, self.end = rate, start, end
        # Frame i is shown at i / rate: the first that counts is the first at or after the start.
        self._begin = 0 if start is None else math.ceil(start * rate)
        self._stop = None if end is None else math.ceil(end * rate)
        known = len(pictures) if isinstance(pictures, Sized) else None
        self.count = None if known is None else len(range(known)[self._begin : self._stop])
        iterator = iter(pictures)
        first = next(iterator, None)
        if first is None:
            raise VideoError("expected at least one picture, got none")
        # What gives its pictures once has just given the first of them.
        self._pictures = itertools.chain([first], iterator) if iterator is pictures else pictures
        self.size: tuple[int, int] = load(first).shape[:2]
        self.look = Look(*self.size, rate=rate, time_base=1 / rate)

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """Yield the frames from the first-th of the range on.

        Raises:
            VideoError: there is no frame in the range.
            ShapeError: a picture has another size than the first.
        """
        at = -1
        for at, picture in enumerate(itertools.islice(self._pictures, self._begin, self._stop)):
            if at < first:
                continue
            pixels = load(picture)
            if pixels.shape[:2] != self.size:
                raise ShapeError(
                    f"expected pictures of {self.size[1]}x{self.size[0]} pixels, as the first one has, got "
                    f"{pixels.shape[1]}x{pixels.shape[0]} at {_name(picture, at)}; a film has one size"
                )
            yield Frame(at, (self._begin + at) / self.rate, pixels)
        if at < 0:
            raise VideoError(f"expected a picture in the range from {self.start} s to {self.end} s, but there is none")


class PictureSource(IterableSource):
    """Frames from picture files: a folder's or a pattern's, ``2.png`` before ``10.png``.

    Attributes:
        path: the folder, or what holds the first picture.
        names: of the files in the range, without their suffixes; two that would be the same keep theirs.
    """

    def __init__(
        self, source: str | os.PathLike[str], *, rate: Fraction, start: Fraction | None, end: Fraction | None
    ) -> None:
        try:
            files = expand([source])
        except ImageError as error:
            raise VideoError(str(error)) from None
        super().__init__(files, rate=rate, start=start, end=end)
        self.path = files[0].parent
        stems = [file.stem for file in files]
        unique = len(set(stems)) == len(stems)
        self.names = [file.stem if unique else file.name for file in files][self._begin : self._stop]
        stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        self.fingerprint = hashlib.sha256(repr((stats, start, end, rate)).encode()).hexdigest()


def _name(picture: Any, index: int) -> str:
    return str(picture) if isinstance(picture, (str, os.PathLike)) else f"number {index}"
