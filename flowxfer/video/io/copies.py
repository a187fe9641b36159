"""What a film has beside its picture, copied packet by packet, as far as the new container holds it.

Whether it does is tried before there is work to lose: everything is written once into nothing, by the same steps that
write it in the end, for what a container claims to hold and what it writes are not always the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.logging import Capture
from av.packet import Packet
from av.rational import AVRational
from av.stream import Disposition, Stream

from flowxfer.errors import reason
from flowxfer.video.io.bounds import bounded
from flowxfer.video.io.clock import Clock, moved
from flowxfer.video.io.container import open_film
from flowxfer.video.io.film_source import FilmSource

__all__ = ["Range", "copy", "copy_tags", "holdable", "kept_tags", "packets_of", "telling"]

log = logging.getLogger(__name__)

_OF_THE_CONTAINER = {"encoder", "major_brand", "minor_version", "compatible_brands", "DURATION"}  # that was
_MAY_STAND_STILL = 0x20000  # AVFMT_TS_NONSTRICT: times may be equal
_FORMATS = {".mp4": "mp4", ".m4v": "ipod", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
_COVERS = {".mp4", ".mkv"}


class Range(NamedTuple):
    """A part of a film, in seconds of its container: what becomes 0, and where it starts and ends, if not as that."""

    zero: Fraction
    start: Fraction | None = None
    end: Fraction | None = None


def holdable(source: FilmSource, output: Path) -> list[int]:
    """Find which streams of a film can be copied into another, and warn of those that are left behind.

    Args:
        source: the film.
        output: the other; its suffix is the container's.

    Returns:
        Their indices.
    """
    suffix = output.suffix.lower()
    with open_film(source.path) as film:
        picture = film.streams.best("video")
        others = [stream for stream in film.streams if stream is not picture and stream.type != "data"]
        refused = {stream.index: why for stream in others if (why := _refusal(stream, suffix))}
        trials = {each.index: _Trial(each, _FORMATS[suffix]) for each in others if each.index not in refused}
        copies = {index: trial.copy for index, trial in trials.items() if trial.copy is not None}
        index_of, mended = {new: index for index, new in copies.items()}, dict[Stream, int]()
        for packet in packets_of(film, copies, source.clock, Range(source.begin), mended):
            trials[index_of[packet.stream]].take(packet)
        refused |= {index: why for index, trial in trials.items() if (why := trial.verdict())}
        for index, why in refused.items():
            log.warning("%s is left out of the %s film: %s", _name(film.streams[index], source.path), suffix, why)
        for new, count in mended.items():
            if index_of[new] not in refused:
                name = _name(film.streams[index_of[new]], source.path)
                log.warning("times of %s repeat or step back: %d packets are moved", name, count)
        return [stream.index for stream in others if stream.index not in refused]


def copy(stream: Stream, container: OutputContainer) -> Stream:
    """Give a container a stream like another film's."""
    if _is_cover(stream) and container.format.name == "matroska":
        return _attached(stream, container)
    new = container.add_stream_from_template(stream, opaque=True)
    if isinstance(new, AudioStream) and new.codec_context.layout.name.endswith(" channels"):
        # Nobody says which channels they are. Players and FFmpeg's copy take the usual ones, and MP4 insists on some.
        with suppress(ValueError):
            new.codec_context.layout = f"{new.codec_context.layout.nb_channels}c"
    copy_tags(stream, new)
    return new


def _attached(stream: Stream, container: OutputContainer) -> Stream:
    """Attach a cover, as Matroska has it."""
    with open_film(Path(stream.container.name)) as film:
        data = next(bytes(packet) for packet in film.demux(film.streams[stream.index]))
    kind = {"png": "png", "mjpeg": "jpeg"}.get(_codec(stream), _codec(stream))
    name = stream.metadata.get("filename", f"cover.{kind.replace('jpeg', 'jpg')}")
    return container.add_attachment(name, stream.metadata.get("mimetype", f"image/{kind}"), data)


def copy_tags(stream: Stream, new: Stream) -> None:
    """Copy a stream's metadata, and what it is for."""
    new.metadata.update(kept_tags(stream.metadata))
    new.disposition = stream.disposition


def kept_tags(metadata: dict[str, str]) -> dict[str, str]:
    """Choose the metadata that are not about the container that was."""
    return {name: value for name, value in metadata.items() if name not in _OF_THE_CONTAINER}


def packets_of(
    film: InputContainer,
    copies: Mapping[int, Stream],
    clock: Clock,
    range_: Range,
    mended: dict[Stream, int] | None = None,
) -> Iterator[Packet[Any]]:
    """Yield the packets of some streams of a film, for their copies, whose container has its header.

    Times that repeat or step back, as those of careless downloads do, are moved by a tick, as FFmpeg's copy moves them.

    Args:
        film: open, at its beginning.
        copies: by the index in the film.
        clock: of the film.
        range_: what is yielded.
        mended: counts the packets that were moved, by their copy.
    """
    last = dict[Stream, int]()
    wanted = [film.streams[index] for index, new in copies.items() if new.type != "attachment"]
    packets = bounded(film, *wanted) if wanted else iter(())
    try:
        for packet in clock.steady(packets) if clock.breaks else packets:
            stream = packet.stream
            if _belongs(packet, stream, range_):
                new = copies[stream.index]
                if _ascend(packet, new, last) and mended is not None:
                    mended[new] = mended.get(new, 0) + 1
                packet.stream = new
                yield packet
    except av.FFmpegError as error:
        log.warning("the sound of %s breaks off: %s", film.name, error)


def _belongs(packet: Packet[Any], stream: Stream, range_: Range) -> bool:
    """Count a packet's time from a range's zero, if it belongs to the range."""
    if _is_cover(stream):
        packet.pts = packet.dts = 0
        return packet.size > 0
    tick = packet.dts if packet.pts is None else packet.pts
    if tick is None:
        return False  # says that the stream ends
    if packet.size == 2 and _codec(stream) == "mov_text":
        return False  # an empty text: the container ends a subtitle with one, and will do so again
    time = tick * packet.time_base
    if (range_.start is not None and time < range_.start) or (range_.end is not None and time >= range_.end):
        return False
    moved(packet, -range_.zero)
    return True


def _ascend(packet: Packet[Any], new: Stream, last: dict[Stream, int]) -> bool:
    """Move a packet's times, in the ticks of its new stream, so that they ascend; tell whether that was needed."""
    assert new.time_base is not None
    packet.rescale_ts(AVRational(new.time_base))
    before = packet.pts, packet.dts
    if packet.dts is None:
        packet.dts = packet.pts
    assert packet.dts is not None
    first = packet.dts
    if new in last:
        first = last[new] + (0 if new.container.format.flags & _MAY_STAND_STILL else 1)
    packet.dts = max(packet.dts, first)
    packet.pts = packet.dts if packet.pts is None else max(packet.pts, packet.dts)
    last[new] = packet.dts
    return None not in before and before != (packet.pts, packet.dts)


def _refusal(stream: Stream, suffix: str) -> str | None:
    if _is_cover(stream):
        return None if suffix in _COVERS else f"{suffix} films hold no cover"
    return "a film has one picture" if stream.type == "video" else None


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _codec(stream: Stream) -> str:
    return stream.codec_context.name if stream.codec_context is not None else "data"


def _name(stream: Stream, path: Path) -> str:
    kind = "cover" if _is_cover(stream) else f"{stream.type} stream {stream.index}"
    return f"the {kind} ({_codec(stream)}, {stream.language or 'no language'}) of {path}"


class _Trial:
    """A stream that is written into nothing.

    Attributes:
        copy: the new stream; None where it cannot even be made.
    """

    def __init__(self, stream: Stream, container_format: str) -> None:
        self.copy: Stream | None = None
        self._why: str | None = None
        self._container = av.open(_Nothing(), "w", format=container_format)
        with self._asked():
            new = copy(stream, self._container)
            self._container.start_encoding()
            self.copy = new

    def take(self, packet: Packet[Any]) -> None:
        """Write a packet."""
        if self._why is None:
            with self._asked():
                self._container.mux(packet)

    def verdict(self) -> str | None:
        """Tell why it cannot be written; None where it can."""
        with self._asked():
            self._container.close()
        return self._why

    @contextmanager
    def _asked(self) -> Iterator[None]:
        with telling() as why:
            try:
                yield
            except (av.FFmpegError, ValueError) as error:
                self._why = self._why or why(error)


class _Nothing:
    """A file that keeps nothing but how long it is."""

    def __init__(self) -> None:
        self._position = self._end = 0

    def write(self, data: bytes) -> int:
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._end)[whence]
        return self._position

    def tell(self) -> int:
        return self._position


@contextmanager
def telling() -> Iterator[Callable[[Exception], str]]:
    """Yield what tells why FFmpeg refused something in this thread, in its own words where it has some."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with Capture() as lines:
            yield lambda error: " ".join(lines[-1][2].split()) if lines else reason(error)
    finally:
        av.logging.set_level(level)
