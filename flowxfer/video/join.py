"""Segments of packets to one film, with everything else of the source's film copied packet by packet."""

from __future__ import annotations

import heapq
import io
import itertools
import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from flowxfer.provenance import Mark, tags

from .encoders import Encoder
from .film_source import FilmSource, open_film
from .opening import bounded
from .source import Source
from .work import Work

__all__ = ["join", "payload"]

log = logging.getLogger(__name__)

_DROPPED_TAGS = {
    "encoder",
    "major_brand",
    "minor_version",
    "compatible_brands",
    "DURATION",
}  # of the container that was


def payload(work: Work, number: int) -> Path:
    """Name the file that holds a segment's packets, one after the other."""
    return work.folder / f"{number:06}.packets"


def join(target: Path, encoder: Encoder, work: Work, source: Source, mark: Mark | None) -> None:
    """Write the film.

    The video's packets are those of the segments, byte by byte. From the source's film come sound, subtitles and
    attachments that the container can hold, packet by packet, metadata and chapters; in a range, what lies in it.

    Args:
        target: written in place; its suffix is the container's.
        encoder: what made the segments.
        work: where they are.
        source: where the frames came from.
        mark: goes into the metadata, which is all that Matroska has for it.
    """
    coded = _Coded(work)
    # A range begins at 0 with its first frame; a whole film keeps the times that it has.
    shift = coded.ticks[0] * encoder.look.time_base if source.start is not None else Fraction(0)
    is_mp4 = target.suffix in (".mp4", ".m4v", ".mov")
    options = {"movflags": "+faststart"} if is_mp4 else {"avoid_negative_ts": "disabled"}
    with av.open(str(target), "w", container_options=options) as container:
        video = encoder.add_stream(container)
        if not isinstance(source, FilmSource):
            container.metadata.update(tags(mark) if mark else {})
            for packet in coded.packets(video, encoder.look.time_base, shift):
                container.mux(packet)
            return
        with open_film(source.path) as film:
            own = film.streams.best("video")
            assert own is not None
            _copy_tags(own, video)
            metadata = _tags(film.metadata)
            container.metadata.update(tags(mark, metadata) if mark else metadata)
            copies = _copies(film, container, source.path, target)
            range_ = _Range(source.begin + shift, None if source.end is None else source.begin + source.end)
            container.set_chapters(list(_chapters(film, range_)))
            packets = [
                coded.packets(video, encoder.look.time_base, shift),
                _copied(film, source.path, copies, range_, trimmed=source.start is not None),
            ]
            for packet in heapq.merge(*packets, key=_seconds):
                container.mux(packet)


class _Range(NamedTuple):
    """A part of a film, in seconds of its container: what becomes 0, and where it ends."""

    begin: Fraction
    end: Fraction | None


class _Coded:
    """The packets of all segments, in the order of decoding.

    Attributes:
        ticks: when the frames are shown, ascending, in ticks of the encoder's time base.
    """

    def __init__(self, work: Work) -> None:
        self._work, self.ticks, self._delay, self._last_duration = work, list[int](), 0, 1
        for entry in work.entries():
            shown = [tick for _, tick, _ in entry["packets"]]
            place = {tick: rank for rank, tick in enumerate(sorted(shown))}
            self._delay = max([self._delay, *(i - place[tick] for i, tick in enumerate(shown))])
            self.ticks += sorted(shown)
            self._last_duration = entry["duration"]

    def packets(self, stream: Stream, time_base: Fraction, shift: Fraction) -> Iterator[Packet[Any]]:
        """Yield the packets for a stream.

        Decoding times are made anew for the whole film: the i-th packet is decoded when the frame is shown that comes
        as many places earlier as encoders moved frames at most. So they ascend across segments, also where the frame
        rate varies, and none is later than its frame.
        """
        offset = round(shift / time_base)
        step = max(1, round((self.ticks[-1] - self.ticks[0]) / max(1, len(self.ticks) - 1)))
        ahead = [self.ticks[0] - step * (self._delay - i) for i in range(self._delay)]
        decoded = itertools.chain(ahead, self.ticks)
        ends = dict(itertools.pairwise(self.ticks))
        ends[self.ticks[-1]] = self.ticks[-1] + self._last_duration
        for number in range(self._work.segments):
            entry = self._work.checked(number)
            with payload(self._work, number).open("rb") as file:
                for size, tick, key in entry["packets"]:
                    packet = Packet(file.read(size))
                    packet.pts, packet.dts, packet.duration = tick - offset, next(decoded) - offset, ends[tick] - tick
                    packet.time_base, packet.is_keyframe, packet.stream = time_base, key, stream
                    yield packet


def _copies(film: InputContainer, container: OutputContainer, path: Path, target: Path) -> dict[int, Stream]:
    """Make a stream for each of the film's that the container can hold, by the index in the film."""
    copies, video = {}, film.streams.best("video")
    for stream in film.streams:
        if stream is video or stream.type == "data":  # data are time codes and the like, or the chapters once more
            continue
        if stream.type == "video" or not _fits(stream, container.format.name):
            name = f"{stream.type} stream {stream.index} ({_codec(stream)}, {stream.language or 'no language'})"
            log.warning("the %s of %s is left out: %s films cannot hold it beside the video", name, path, target.suffix)
            continue
        copies[stream.index] = _copy(stream, container)
    return copies


def _fits(stream: Stream, container_format: str) -> bool:
    """Try in memory: what a container claims to hold and what it writes are not always the same."""
    try:
        with av.open(io.BytesIO(), "w", format=container_format) as trial:
            _copy(stream, trial)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _copy(stream: Stream, container: OutputContainer) -> Stream:
    copy = container.add_stream_from_template(stream)
    _copy_tags(stream, copy)
    return copy


def _copy_tags(stream: Stream, copy: Stream) -> None:
    copy.metadata.update(_tags(stream.metadata))
    copy.disposition = stream.disposition


def _tags(metadata: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in metadata.items() if name not in _DROPPED_TAGS}


def _codec(stream: Stream) -> str:
    return stream.codec_context.name if stream.codec_context is not None else "data"


def _copied(
    film: InputContainer, path: Path, copies: dict[int, Stream], range_: _Range, *, trimmed: bool
) -> Iterator[Packet[Any]]:
    """Yield the packets of the other streams."""
    wanted = [film.streams[index] for index in copies if film.streams[index].type in ("audio", "subtitle")]
    try:
        for packet in bounded(film, path, *wanted) if wanted else ():
            tick = packet.dts if packet.pts is None else packet.pts
            if tick is None:
                continue  # says that the stream ends
            if packet.size == 2 and packet.stream.codec_context.name == "mov_text":
                continue  # an empty text: the container ends a subtitle with one, and will do so again
            time = tick * packet.time_base
            if (trimmed and time < range_.begin) or (range_.end is not None and time >= range_.end):
                continue
            offset = round(range_.begin / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - offset
            packet.dts = None if packet.dts is None else packet.dts - offset
            packet.stream = copies[packet.stream_index]
            yield packet
    except av.FFmpegError as error:
        log.warning("the sound of %s breaks off: %s", film.name, error)


def _chapters(film: InputContainer, range_: _Range) -> Iterator[av.container.core.Chapter]:
    for chapter in film.chapters():
        unit = chapter["time_base"]
        if unit is None:
            continue
        begin = max(Fraction(0), chapter["start"] * unit - range_.begin)
        end = chapter["end"] * unit if range_.end is None else min(chapter["end"] * unit, range_.end)
        if (end := end - range_.begin) > begin:
            yield {**chapter, "start": round(begin / unit), "end": round(end / unit)}


def _seconds(packet: Packet[Any]) -> float:
    tick = packet.pts if packet.dts is None else packet.dts
    return 0.0 if tick is None else float(tick * packet.time_base)
