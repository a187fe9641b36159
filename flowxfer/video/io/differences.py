"""A finished film beside its source: what is not as it was, in words."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.stream import DataStream
from av.video.frame import VideoFrame

from flowxfer.video.io.bounds import bounded
from flowxfer.video.io.container import open_film
from flowxfer.video.io.film_source import FilmSource

__all__ = ["warn_of_differences"]

log = logging.getLogger(__name__)

_MEANT = {
    Type.A53_CC: "closed captions",
    Type.STEREO3D: "how it is seen with two eyes",
    Type.DISPLAYMATRIX: "how it is turned",
    Type.AFD: "its active format",
    Type.MASTERING_DISPLAY_METADATA: "HDR's mastering display",
    Type.CONTENT_LIGHT_LEVEL: "HDR's light levels",
    Type.SPHERICAL: "how it is projected",
    Type.ICC_PROFILE: "its colour profile",
    Type.S12M_TIMECODE: "its time code",
    Type.DYNAMIC_HDR_PLUS: "HDR10+",
    Type.DYNAMIC_HDR_VIVID: "HDR Vivid",
    Type.DOVI_RPU_BUFFER: "Dolby Vision",
    Type.DOVI_METADATA: "Dolby Vision",
    Type.FILM_GRAIN_PARAMS: "its film grain",
    Type.AMBIENT_VIEWING_ENVIRONMENT: "the light that it is seen in",
}
"""Of what a picture comes with, that which is for those who see it; the rest is the decoder's."""

_SLACK = Fraction(1, 500)  # seconds by which a time may be off: Matroska counts milliseconds


def warn_of_differences(source: FilmSource, made: Path, shown: Sequence[Fraction], *, upright: bool) -> None:
    """Compare a film with its source, and warn of what was lost.

    Args:
        source: the film that it was made of.
        made: the new one.
        shown: when its frames are to be shown, ascending, in seconds.
        upright: whether its pictures were turned on purpose.
    """
    with open_film(source.path) as before, open_film(made) as after:
        said, kept = dict.fromkeys(_said(before)), {*_said(after), *([_MEANT[Type.DISPLAYMATRIX]] if upright else [])}
        if lost := [what for what in said if what not in kept]:
            text = "what %s says of %s is lost: this codec or container does not take it from here"
            log.warning(text, source.path, ", ".join(lost))
    with open_film(made) as after:
        times = sorted(_times(after))
    off = [abs(got - wanted) for got, wanted in zip(times, shown, strict=False)]
    if len(times) != len(shown) or max(off, default=0) > _SLACK:
        text = "expected %d frames at their times in what is made of %s, got %d, by up to %.3f s off"
        log.warning(text, len(shown), source.path, len(times), max(off, default=0))


def _said(film: InputContainer) -> Iterator[str]:
    """What a film says beside its pictures and sound."""
    picture = film.streams.best("video")
    if "timecode" in film.metadata or any("timecode" in stream.metadata for stream in film.streams):
        yield _MEANT[Type.S12M_TIMECODE]
    for each in film.streams:
        if isinstance(each, DataStream) and "timecode" not in each.metadata and each.name != "bin_data":  # chapters
            yield f"the data stream {each.index} ({each.metadata.get('handler_name', 'without a name')})"
    first = None
    with suppress(av.FFmpegError):  # of a damaged film nothing is known
        first = next(film.decode(picture), None) if picture is not None else None
    for kind, meaning in _MEANT.items():
        if isinstance(first, VideoFrame) and first.side_data.get(kind) is not None:  # type: ignore[call-overload]
            yield meaning


def _times(film: InputContainer) -> Iterator[Fraction]:
    picture = film.streams.best("video")
    for packet in bounded(film, picture) if picture is not None else ():
        if packet.pts is not None:
            yield packet.pts * packet.time_base
