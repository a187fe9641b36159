"""Frames of an animated picture: WebP, PNG or AVIF, which FFmpeg takes for one picture, or for none."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from PIL import Image

from flowxfer.errors import ImageError, VideoError, reason
from flowxfer.images import load
from flowxfer.video.io.frames import Frame
from flowxfer.video.io.source import Source
from flowxfer.video.io.stream_format import Look

__all__ = ["AnimationSource", "is_animated"]

_FORMATS = ("WEBP", "PNG", "AVIF")
_UNIT = Fraction(1, 1000)  # of the times
_INSTEAD_OF_NONE = 100  # thousandths of a second for a frame that says none, as browsers show it


def is_animated(path: Path) -> bool:
    """Whether a file is a picture with several frames."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # whatever a damaged file raises: who reads it says what is wrong
        return False


class AnimationSource(Source):
    """The frames of an animated picture, at the times that it gives them.

    Args:
        path: of the picture.
        start: seconds; the first frame is the first that is shown at this time or later.
        end: seconds; frames shown at this time or later are left out.

    Raises:
        ImageError: it is damaged.
    """

    path: Path

    def __init__(self, path: Path, *, start: Fraction | None = None, end: Fraction | None = None) -> None:
        self.path, self.start, self.end = path, start, end
        with Image.open(path, formats=_FORMATS) as image:
            durations = list(self._durations(image))
            self.size = (image.height, image.width)
        times = [tick * _UNIT for tick in itertools.accumulate(durations, initial=0)]
        self.rate = Fraction(len(durations) * 1000, sum(durations))
        self._shown = [time for time in times[:-1] if time >= (start or 0) and (end is None or time < end)]
        self._first = times.index(self._shown[0]) if self._shown else 0
        self.count = len(self._shown)
        self.look = Look(*self.size, rate=self.rate, time_base=_UNIT)
        self.fingerprint = hashlib.sha256(path.read_bytes() + f"{start} {end}".encode()).hexdigest()

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """Yield the frames from the first-th of the range on.

        Raises:
            VideoError: there is no frame in the range.
            ImageError: the picture is damaged.
        """
        if not self._shown:
            raise VideoError(f"expected a frame of {self.path} from {self.start} s to {self.end} s, but there is none")
        with Image.open(self.path, formats=_FORMATS) as image:
            skipped = self._before(image) + self._first
            for index in range(first, len(self._shown)):
                self._seek(image, skipped + index)
                yield Frame(index, self._shown[index], load(image.convert("RGBA")))

    def _durations(self, image: Image.Image) -> Iterator[int]:
        """Yield how long each frame is shown, in thousandths of a second."""
        for index in range(self._before(image), getattr(image, "n_frames", 1)):
            self._seek(image, index)
            yield round(image.info.get("duration", 0)) or _INSTEAD_OF_NONE

    def _before(self, image: Image.Image) -> int:
        """Count the frames that are not of the animation: a PNG may have one for those who cannot show it."""
        return int(bool(image.info.get("default_image")))

    def _seek(self, image: Image.Image, index: int) -> None:
        try:
            image.seek(index)
            image.load()
        except Exception as error:  # the same
            raise ImageError(f"{self.path} is damaged or cut short at its frame {index}: {reason(error)}") from error
