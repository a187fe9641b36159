"""A source for whatever is given: a film, a folder of pictures, a pattern, or any iterable."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

from flowxfer.errors import InputError, VideoError
from flowxfer.images import SUFFIXES, check_no_pipe
from flowxfer.video.io.picture_source import IterableSource, PictureSource
from flowxfer.video.io.source import Source, require_av
from flowxfer.video.io.suffixes import READ

__all__ = ["Sources", "films_in", "open_source"]

Sources: TypeAlias = "str | os.PathLike[str] | Iterable[Any]"
"""A film, a folder of pictures, a glob pattern, or an iterable of uint8 arrays and PIL images."""

_PICTURES = set(SUFFIXES) - {".gif"}  # those are films


def open_source(
    source: Sources,
    *,
    start: float | None = None,
    end: float | None = None,
    rate: float | None = None,
    deinterlace: bool = False,
) -> Source:
    """Open a film, a folder of pictures, a pattern such as ``frames/*.png``, or an iterable.

    Args:
        source: a path or pattern, or an iterable of uint8 arrays (H, W, 3) and PIL images.
        start: seconds; the first frame is the first that is shown at this time or later.
        end: seconds; frames that are shown at this time or later are left out.
        rate: frames per second of pictures, 25 by default; films have their own.
        deinterlace: of a film; make whole pictures of interlaced ones.

    Raises:
        VideoError: there is nothing that can be read; the message says what is there.
        ShapeError: pictures are not uint8, or differ in size.
        InputError: a number is out of its range, or a rate is given for a film.
        MissingExtraError: the source is a film, and PyAV is not installed.
    """
    begin, stop = _seconds("start", start), _seconds("end", end)
    if stop is not None and stop <= (begin or 0):
        raise InputError(f"expected an end after the start, got start {start or 0} and end {end} seconds")
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise InputError(f"expected a rate above 0 frames per second, got {rate}")
    frame_rate = Fraction(25) if rate is None else Fraction(str(rate)).limit_denominator(1001)
    if not isinstance(source, (str, os.PathLike)):
        if not isinstance(source, Iterable):
            raise InputError(f"expected a film, pictures or an iterable of frames, got {type(source).__name__}")
        return IterableSource(source, rate=frame_rate, start=begin, end=stop)
    path = Path(source)
    from flowxfer.video.io.animation_source import AnimationSource, is_animated

    if path.suffix.lower() in _PICTURES and path.is_file() and is_animated(path):
        _no_rate(rate, path)
        return AnimationSource(path, start=begin, end=stop)
    if path.is_dir() or (glob.has_magic(str(path)) and not path.exists()) or path.suffix.lower() in _PICTURES:
        return PictureSource(path, rate=frame_rate, start=begin, end=stop)
    _no_rate(rate, path)
    check_no_pipe(path)
    if not path.is_file():
        raise VideoError(f"expected a film or pictures at {path}, but there is nothing")
    require_av(f"the film {path}")
    from flowxfer.video.io.film_source import FilmSource

    return FilmSource(path, start=begin, end=stop, deinterlace=deinterlace)


def _no_rate(rate: float | None, path: Path) -> None:
    if rate is not None:
        raise InputError(f"expected no rate, because the film {path} has its own, got {rate}; it is for pictures")


def films_in(folder: str | os.PathLike[str]) -> list[Path]:
    """List the films in a folder by name, hidden ones left out; none is an empty list."""
    return sorted(
        path
        for path in Path(folder).iterdir()
        if path.suffix.lower() in READ and path.name[0] != "." and path.is_file()
    )


def _seconds(name: str, value: float | None) -> Fraction | None:
    if value is None:
        return None
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"expected a {name} of 0 seconds or more, got {value}")
    # 1.1 shall mean the frame at 11/10, which the nearest float is a little past.
    return Fraction(str(value))
