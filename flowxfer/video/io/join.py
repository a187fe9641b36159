"""Segments of packets to one film, with everything else of the source's film copied packet by packet."""

from __future__ import annotations

import heapq
import itertools
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from flowxfer.provenance import Mark, tags
from flowxfer.video.io.container import open_film
from flowxfer.video.io.copies import Range, copy, copy_tags, kept_tags, packets_of
from flowxfer.video.io.encoders import Encoder
from flowxfer.video.io.film_source import FilmSource
from flowxfer.video.io.source import Source
from flowxfer.video.io.suffixes import MP4
from flowxfer.video.io.work_folder import Work

__all__ = ["join", "payload", "shown_times"]


def payload(work: Work, number: int) -> Path:
    """Name the file that holds a segment's packets, one after the other."""
    return work.folder / f"{number:06}.packets"


def join(
    target: Path, encoder: Encoder, work: Work, source: Source, mark: Mark | None, copied: Sequence[int] = ()
) -> None:
    """Write the film.

    The video's packets are those of the segments, byte by byte. From the source's film come sound, subtitles and
    attachments that the container can hold, packet by packet, metadata and chapters; in a range, what lies in it.

    Args:
        target: written in place; its suffix is the container's.
        encoder: what made the segments.
        work: where they are.
        source: where the frames came from.
        mark: goes into the metadata, which is all that Matroska has for it.
        copied: the streams of the source's film that the container can hold, as :func:`.copies.holdable` found them.
    """
    coded = _Coded(work)
    shift = _shift(coded, encoder, source)
    is_mp4 = target.suffix in MP4
    options = {"movflags": "+faststart"} if is_mp4 else {"avoid_negative_ts": "disabled"}
    with av.open(os.path.abspath(target), "w", container_options=options) as container:
        video = encoder.add_stream(container)
        if not isinstance(source, FilmSource):
            container.metadata.update(tags(mark) if mark else {})
            for packet in coded.packets(video, encoder.look.time_base, shift):
                container.mux(packet)
            return
        with open_film(source.path) as film:
            own = film.streams.best("video")
            assert own is not None
            copy_tags(own, video)
            metadata = kept_tags(film.metadata)
            container.metadata.update(tags(mark, metadata) if mark else metadata)
            copies = {index: copy(film.streams[index], container) for index in copied}
            start = None if source.start is None else source.begin + shift
            range_ = Range(source.begin + shift, start, None if source.end is None else source.begin + source.end)
            container.set_chapters(list(_chapters(film, range_)))
            container.start_encoding()
            packets = [
                coded.packets(video, encoder.look.time_base, shift),
                packets_of(film, copies, source.clock, range_),
            ]
            for packet in heapq.merge(*packets, key=_seconds):
                container.mux(packet)


def shown_times(work: Work, encoder: Encoder, source: Source) -> list[Fraction]:
    """List when the frames of the joined film are shown, in seconds."""
    coded = _Coded(work)
    shift = _shift(coded, encoder, source)
    return [tick * encoder.look.time_base - shift for tick in coded.ticks]


def _shift(coded: _Coded, encoder: Encoder, source: Source) -> Fraction:
    """What is taken from times: a range begins at 0 with its first frame, a whole film keeps the times that it has."""
    return coded.ticks[0] * encoder.look.time_base if source.start is not None else Fraction(0)


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


def _chapters(film: InputContainer, range_: Range) -> Iterator[av.container.core.Chapter]:
    for chapter in film.chapters():
        unit = chapter["time_base"]
        if unit is None:
            continue
        begin = max(Fraction(0), chapter["start"] * unit - range_.zero)
        end = chapter["end"] * unit if range_.end is None else min(chapter["end"] * unit, range_.end)
        if (end := end - range_.zero) > begin:
            yield {**chapter, "start": round(begin / unit), "end": round(end / unit)}


def _seconds(packet: Packet[Any]) -> float:
    tick = packet.pts if packet.dts is None else packet.dts
    return 0.0 if tick is None else float(tick * packet.time_base)
