"""Frames to a film: encoded in segments, joined at the end without a second encoding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from io import BufferedWriter
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from PIL import Image

from flowxfer.errors import VideoError
from flowxfer.faces import Patch
from flowxfer.files import put, sync
from flowxfer.images import Pixels
from flowxfer.provenance import Mark, stamp
from flowxfer.video.io.colours import add_change, add_shown_change, as_format, enlarged, from_rgb
from flowxfer.video.io.copies import telling
from flowxfer.video.io.differences import warn_of_differences
from flowxfer.video.io.encoders import Encoder
from flowxfer.video.io.fields import flagged
from flowxfer.video.io.film_source import FilmSource
from flowxfer.video.io.frames import Box, Frame, New, shown
from flowxfer.video.io.join import join, payload, shown_times
from flowxfer.video.io.planar import add_patch
from flowxfer.video.io.source import Source
from flowxfer.video.io.stream_format import PROGRESSIVE
from flowxfer.video.io.work_folder import Work

__all__ = ["FilmSegmentWriter"]


class FilmSegmentWriter:
    """Packets in one file a segment; their sizes, times and checksum are in the journal.

    Args:
        work: the work folder.
        source: where the frames come from.
        encoder: what encodes them.
        mark: what the film says of how it was made.
        copied: the streams of the source's film that go into the new one.
    """

    def __init__(
        self, work: Work, source: Source, encoder: Encoder, mark: Mark | None, copied: Sequence[int] = ()
    ) -> None:
        self._work, self._source, self._encoder, self._mark, self._copied = work, source, encoder, mark, copied
        self._context: VideoCodecContext | None = None
        self._payload: BufferedWriter | None = None
        self._digest = hashlib.sha256()
        self._packets: list[tuple[int, int, bool]] = []
        self._duration = 0

    def begin(self, number: int) -> None:
        """Start a fresh encoder."""
        self._context, self._packets, self._digest = self._encoder.open(), [], hashlib.sha256()
        self._payload = payload(self._work, number).open("wb")

    def add(self, frame: Frame, new: New, box: Box | None) -> None:
        """Encode a frame."""
        assert self._context is not None
        picture = self._picture(frame, new, box)
        time_base = self._encoder.look.time_base
        picture.pts, picture.time_base = round(frame.time / time_base), time_base
        picture.pict_type = PictureType.NONE  # the encoder decides anew which pictures are key frames
        self._duration = picture.duration or max(1, round(1 / self._encoder.look.rate / time_base))
        self._take(self._context.encode(picture))

    def end(self) -> dict[str, Any]:
        """Flush the encoder, and wait until the packets are on the disk."""
        assert self._context is not None
        assert self._payload is not None
        self._take(self._context.encode(None))
        self._payload.close()
        path = Path(self._payload.name)
        self.abandon()
        sync(path)
        files = {path.name: self._digest.hexdigest()}
        return {"packets": self._packets, "duration": self._duration, "files": files}

    def abandon(self) -> None:
        """Close the payload."""
        self._context = None
        if self._payload is not None:
            with suppress(OSError):  # on a full disk closing fails as writing did
                self._payload.close()
            self._payload = None

    def finish(self) -> None:
        """Join the segments with the source's sound, and put the film into its place.

        Raises:
            VideoError: the container refuses it.
        """
        joined = self._work.folder / f"joined{self._work.output.suffix.lower()}"
        with telling() as why:
            try:
                join(joined, self._encoder, self._work, self._source, self._mark, self._copied)
            except av.ArgumentError as error:
                raise VideoError(
                    f"expected to join {self._work.output}, but FFmpeg refuses it: "
                    f"{why(error)}; what was done is kept in {self._work.folder}"
                ) from error
        if isinstance(self._source, FilmSource):
            shown, look = shown_times(self._work, self._encoder, self._source), self._encoder.look
            warn_of_differences(self._source, joined, shown, upright=look.turn != self._source.look.turn)
        if self._mark is not None:
            stamp(joined, self._mark)
        sync(joined)  # before the segments go
        put(joined, self._work.output)

    def _picture(self, frame: Frame, new: New, box: Box | None) -> VideoFrame:
        """Make the picture that is encoded: the native one where there is one, plus the change."""
        look, own = self._encoder.look, self._source.look
        if not isinstance(frame.native, VideoFrame) or (own.turn, own.aspect) != (look.turn, look.aspect):
            size = own.size if look.is_squeezed else own.shown.size
            picture = from_rgb(_resized(shown(frame, new), size), look)
        else:
            picture = as_format(frame.native, look)
            if box is not None:
                self._change(picture, frame, new, box)
        picture = enlarged(picture, look.height, look.width)
        return picture if picture is frame.native or look.fields == PROGRESSIVE else flagged(picture, look.fields)

    def _change(self, picture: VideoFrame, frame: Frame, new: New, box: Box) -> None:
        own = self._source.look
        if own.is_squeezed:
            add_shown_change(picture, frame.pixels, shown(frame, new), box, own)
        elif not (isinstance(new, Patch) and add_patch(picture, new, box, own.turn)):
            after = shown(frame, new)
            add_change(
                picture, own.turn.stored(frame.pixels), own.turn.stored(after), own.turn.stored_box(box, *own.size)
            )

    def _take(self, packets: list[Packet[Any]]) -> None:
        assert self._payload is not None
        for packet in packets:
            data = bytes(packet)
            self._payload.write(data)
            self._digest.update(data)
            assert packet.pts is not None
            self._packets.append((packet.size, packet.pts, packet.is_keyframe))


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Show a picture in another height and width: that of pixels that are not square."""
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BICUBIC))
