"""A film's clock, which runs on where the film's own starts again.

Streams that were joined byte by byte, as recorders and ``cat`` join them, keep the times of their parts. Where a time
is much earlier or later than what went before, it and all after it are moved to follow that, as FFmpeg's own copy moves
them: https://ffmpeg.org/ffmpeg.html#Advanced-options, -dts_delta_threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame

from flowxfer.video.io.bounds import bounded
from flowxfer.video.io.container import open_film

__all__ = ["Clock", "InOrder", "clock_of"]

_MAY_START_AGAIN = 0x0200  # AVFMT_TS_DISCONT
_MOST_REORDERED = 17  # pictures that a decoder of H.264 or HEVC may hold back, and the next
_BACK, _AHEAD = Fraction(1, 10), 10  # seconds that a time may be off from the one before, as FFmpeg has them


@dataclass(frozen=True)
class Clock:
    """What is added to the times of a film's packets.

    Attributes:
        breaks: by a stream's index: from which of its packets on, counted from 0, how many seconds are added.
        end: when the film ends, in the container's seconds, where that had to be found out.
    """

    breaks: dict[int, list[tuple[int, Fraction]]] = field(default_factory=dict)
    end: Fraction | None = None

    def steady(self, packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
        """Yield a film's packets, from its beginning, with times that run on."""
        counts = dict.fromkeys(self.breaks, 0)
        shifts = dict.fromkeys(self.breaks, Fraction(0))
        for packet in packets:
            index = packet.stream_index
            if packet.size and index in counts:
                for count, shift in self.breaks[index]:
                    if count == counts[index]:
                        shifts[index] = shift
                counts[index] += 1
                moved(packet, shifts[index])
            yield packet


def moved(packet: Packet[Any], seconds: Fraction) -> None:
    """Add to the times of a packet."""
    ticks = round(seconds / packet.time_base) if packet.time_base else 0
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks


def clock_of(container: InputContainer, path: Path) -> Clock:
    """Find where a film's clock starts again, for which the whole of it is read where its format lets it.

    Args:
        container: the film, open; its packets stay where they are.
        path: of the film.
    """
    if not container.format.flags & _MAY_START_AGAIN:
        return Clock()
    stat = path.stat()
    return _read(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, size: int, changed: int) -> Clock:
    with open_film(path) as film:
        telling = {stream.index for stream in film.streams if stream.type in ("audio", "video")}
        return _breaks(bounded(film, *film.streams), telling)


def _breaks(packets: Iterable[Packet[Any]], telling: set[int]) -> Clock:
    """Follow the times of the streams that tell them without a pause."""
    shift, end = Fraction(0), Fraction(0)
    counts, shifts = dict[int, int](), dict[int, Fraction]()
    begins, ends = dict[int, Fraction](), dict[int, Fraction]()
    breaks = dict[int, list[tuple[int, Fraction]]]()
    for packet in packets:
        index, own = packet.stream_index, shift
        if index in telling and packet.dts is not None and packet.time_base is not None:
            time = packet.dts * packet.time_base
            if index in ends:
                before = shifts.get(index, Fraction(0))
                if abs(time + before - ends[index]) <= abs(time + shift - ends[index]):
                    own = before  # this stream is still before a break that another has behind it
                if not begins[index] - _BACK <= time + own <= ends[index] + _AHEAD:
                    own = shift = ends[index] - time
            begins[index], ends[index] = time + own, time + own + (packet.duration or 0) * packet.time_base
            end = max(end, ends[index])
        if packet.size:
            if shifts.get(index, Fraction(0)) != own:
                shifts[index] = own
                breaks.setdefault(index, []).append((counts.get(index, 0), own))
            counts[index] = counts.get(index, 0) + 1
    return Clock(breaks, end if breaks else None)


class InOrder:
    """Gives pictures, as they are shown one after the other, the times of their packets in order."""

    def __init__(self) -> None:
        self._waiting = list[int]()

    def expect(self, packet: Packet[Any]) -> None:
        """Take note of a packet whose picture will come."""
        tick = packet.dts if packet.pts is None else packet.pts
        if packet.size and tick is not None:
            heappush(self._waiting, tick)

    def stamp(self, picture: VideoFrame) -> None:
        """Give a picture the first time that is waiting."""
        while len(self._waiting) > _MOST_REORDERED:  # pictures that never came, of damaged packets
            heappop(self._waiting)
        if self._waiting:
            picture.pts = heappop(self._waiting)
