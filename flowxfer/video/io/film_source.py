"""Frames of a film, by PyAV."""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from flowxfer.errors import VideoError
from flowxfer.video.io.bounds import bounded, check_size
from flowxfer.video.io.clock import InOrder, clock_of
from flowxfer.video.io.colours import is_transparent
from flowxfer.video.io.container import open_film
from flowxfer.video.io.fields import deinterlaced, order_of
from flowxfer.video.io.film_frame import FilmFrame, StretchedFrame
from flowxfer.video.io.frames import Frame
from flowxfer.video.io.light import light_of
from flowxfer.video.io.source import Source
from flowxfer.video.io.stream_format import UPRIGHT, Look, Turn

__all__ = ["FilmSource"]

log = logging.getLogger(__name__)

_SEEK_MARGIN = 1  # seconds; a container's index is sorted by decoding time, which runs ahead of what is shown
_BROKEN_OFF = 0.5  # seconds without a frame at a film's end, which are worth a warning
_UNORDERED = ("avi",)  # containers that know when pictures are decoded, not when they are shown
_MOST_RATE = 1000  # frames a second
_HEAD = 1 << 20  # bytes at either end of a film that tell it from others


class FilmSource(Source):
    """The frames of a film's first (or default) video stream.

    Times are the container's own, counted from its beginning: 0 where the film starts at 0 or, as sound with
    encoder delay does, a little before. Pixels that are not square are made so, and a clock that starts again runs on.
    Damaged packets are skipped, as players do, with a warning and counted in ``damaged``; the frame before is then
    shown longer, so that sound and picture stay together. A film that breaks off gives what it has, with a warning.

    Args:
        path: of the film.
        start: seconds; the first frame is the first that is shown at this time or later.
        end: seconds; frames shown at this time or later are left out. None is the film's end.
        deinterlace: make whole pictures of interlaced ones.

    Raises:
        VideoError: there is no such file, no film in it, no video stream, or no frame in it.
    """

    path: Path

    def __init__(
        self,
        path: Path,
        *,
        start: Fraction | None = None,
        end: Fraction | None = None,
        deinterlace: bool = False,
    ) -> None:
        self.path, self.start, self.end, self._deinterlace = path, start, end, deinterlace
        self.damaged = 0
        with open_film(path) as container:
            stream = _video(container, path)
            self.clock = clock_of(container, path)
            first = next(self._pictures(container, stream), None)
            if first is None:
                raise VideoError(f"expected at least one frame in {path}, but none can be decoded; is it cut short?")
            self.look = _look(stream, first)
            self._first_tick = _first_tick(container, stream, self.look.time_base)
            length = _length(stream) or _duration(container)
            self._seconds = float(self.clock.end - self.begin if self.clock.end else length)
            self._ends = (
                self._seconds if _length(stream) or len(container.streams) == 1 else 0
            )  # else sound may be longer
            self.count = self._estimate(stream.frames)
        self.damaged = 0
        self.size, self.rate = self.look.shown.size, self.look.rate
        self.fingerprint = _fingerprint(path, start, end) + ("deinterlaced" if deinterlace else "")

    @property
    def begin(self) -> Fraction:
        """The container's time in seconds that :attr:`Frame.time` counts from."""
        return self._first_tick * self.look.time_base

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """Yield the frames from the first-th of the range on.

        Those before are decoded and dropped, which is quick beside an edit, and right for every film.

        Raises:
            VideoError: the film changes its size, or there is no frame in the range.
        """
        self.damaged, index = 0, -1
        for index, (time, picture) in enumerate(self._in_range()):
            if (picture.height, picture.width) != (self.look.height, self.look.width):
                raise VideoError(
                    f"expected {self.look.width}x{self.look.height} pixels throughout {self.path}, got {picture.width}x"
                    f"{picture.height} at {float(time):.3f} s; choose a range of one size by start and end"
                )
            if index >= first:
                squeezed, turn = self.look.is_squeezed, self.look.turn
                frame = StretchedFrame(index, time, picture, self.look) if squeezed else None
                yield frame or FilmFrame(index, time, picture, turn)
        if index < 0:
            raise VideoError(f"expected a frame between {self._range()} of {self.path}, but there is none")
        missing = self._ends - float(time + 1 / self.look.rate)
        if self.end is None and missing > _BROKEN_OFF:
            log.warning("%s has no frame in its last %.1f seconds; it may be cut short", self.path, missing)
        if self.damaged:
            log.warning("%s is damaged: %d packets or pictures were skipped or patched", self.path, self.damaged)

    def _in_range(self) -> Iterator[tuple[Fraction, VideoFrame]]:
        start = self.start or Fraction(0)
        for time, picture in self._timed(start):
            if self.end is not None and time >= self.end:
                return
            if time >= start or self.start is None:
                yield time, picture

    def _timed(self, start: Fraction) -> Iterator[tuple[Fraction, VideoFrame]]:
        """Decode from a key frame before the start on, or from the beginning where the index leads astray."""
        step, last = max(1, round(1 / self.look.rate / self.look.time_base)), None
        seeks = start > _SEEK_MARGIN and not self.clock.breaks
        for tick, picture in self._from_key_frame(start) if seeks else self._from_beginning():
            if tick is None:
                tick = self._first_tick if last is None else last + step
            elif last is not None and tick <= last:
                tick = last + 1  # two pictures at once, as in damaged films: no container takes them
            last = tick
            yield (tick - self._first_tick) * self.look.time_base, picture

    def _from_key_frame(self, start: Fraction) -> Iterator[tuple[int | None, VideoFrame]]:
        with open_film(self.path) as container:
            stream = _video(container, self.path)
            goal = self._first_tick + math.floor(start / self.look.time_base)
            try:
                container.seek(goal - math.ceil(_SEEK_MARGIN / self.look.time_base), stream=stream)
                pictures = self._pictures(container, stream)
                first = next(pictures, None)
            except av.FFmpegError:
                first = None
            if first is not None and first.key_frame and first.pts is not None and first.pts <= goal:
                yield first.pts, first
                yield from ((picture.pts, picture) for picture in pictures)
                return
        yield from self._from_beginning()

    def _from_beginning(self) -> Iterator[tuple[int | None, VideoFrame]]:
        with open_film(self.path) as container:
            for picture in self._pictures(container, _video(container, self.path)):
                yield picture.pts, picture

    def _pictures(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        pictures = self._decoded(container, stream)
        return deinterlaced(pictures) if self._deinterlace else pictures

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """Decode, past what is damaged."""
        stream.thread_type = "AUTO"
        check_size(stream, self.path)
        packets = bounded(container, stream)
        if self.clock.breaks:
            packets = self.clock.steady(packets)
        order = InOrder() if container.format.name in _UNORDERED else None
        while True:
            try:
                packet = next(packets, None)
                pictures = packet.decode() if packet is not None else []
            except av.InvalidDataError:
                self.damaged += 1
                continue
            except (av.FFmpegError, OSError) as error:
                log.warning("%s breaks off: %s", self.path, error)
                return
            if order is not None and packet is not None:
                order.expect(packet)
            for picture in pictures:
                self.damaged += picture.is_corrupt
                if order is not None:
                    order.stamp(picture)
                yield picture
            if packet is None:
                return

    def _estimate(self, frames: int) -> int:
        if self.start is None and self.end is None and frames:
            return frames
        last = self._seconds if self.end is None else min(float(self.end), self._seconds)
        return max(1, round((last - float(self.start or 0)) * float(self.look.rate)))

    def _range(self) -> str:
        return f"{float(self.start or 0):g} s and {'the end' if self.end is None else f'{float(self.end):g} s'}"


def _video(container: InputContainer, path: Path) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        kinds = ", ".join(sorted({each.type for each in container.streams if each is not stream})) or "nothing"
        kinds += ", and a cover" if stream else ""
        raise VideoError(f"expected a video stream in {path}, got {kinds}")
    return stream


def _look(stream: VideoStream, first: VideoFrame) -> Look:
    context = stream.codec_context
    side = first.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    numbers = memoryview(bytes(side)).cast("i") if side is not None else ()
    return Look(
        height=first.height,
        width=first.width,
        rate=_rate(stream),
        time_base=stream.time_base or Fraction(1, 90_000),
        pixel_format=first.format.name,
        turn=Turn.from_matrix(tuple(numbers)) if numbers else UPRIGHT,
        aspect=stream.sample_aspect_ratio or context.sample_aspect_ratio or None,
        matrix=int(context.colorspace),
        range=int(context.color_range),
        primaries=int(context.color_primaries),
        transfer=int(context.color_trc),
        fields=order_of(first),
        light=light_of(first),
        transparent=is_transparent(first) or stream.metadata.get("alpha_mode") == "1",  # VP8's and VP9's, not decoded
    )


def _rate(stream: VideoStream) -> Fraction:
    """Frames a second; of raw DV the container says that a tick is a frame, and what the codec says is right."""
    rates = (stream.average_rate, stream.guessed_rate)
    return next((rate for rate in rates if rate and rate <= _MOST_RATE), Fraction(25))


def _length(stream: VideoStream) -> Fraction | None:
    """How many seconds a stream lasts, where anybody says."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    told = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))  # in Matroska
    return None if told is None else int(told[1]) * 3600 + int(told[2]) * 60 + Fraction(told[3])


def _duration(container: InputContainer) -> Fraction:
    return Fraction(container.duration or 0, av.time_base)


def _first_tick(container: InputContainer, stream: VideoStream, time_base: Fraction) -> int:
    """Find the film's beginning in the video's ticks: sound may start before 0, pictures may not."""
    starts = [
        each.start_time * each.time_base
        for each in container.streams
        if each.type in ("audio", "video") and each.start_time is not None and each.time_base
    ]
    first = min(starts, default=Fraction(0))
    if first < 0:
        first = min(Fraction(0), (stream.start_time or 0) * time_base)
    return math.floor(first / time_base)


def _fingerprint(path: Path, start: Fraction | None, end: Fraction | None) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256(f"{size} {start} {end}".encode())
    with path.open("rb") as file:
        digest.update(file.read(_HEAD))
        file.seek(max(0, size - _HEAD))
        digest.update(file.read(_HEAD))
    return digest.hexdigest()
