"""Frames to segments that become safe one after the other, whatever they are stored in."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from flowxfer.errors import VideoError
from flowxfer.files import replacing
from flowxfer.video.io.frames import Box, Frame, New
from flowxfer.video.io.work_folder import Work

__all__ = ["SegmentWriter", "SegmentedSink"]


class SegmentWriter(Protocol):
    """What stores the frames of a segment, and makes the output of all segments."""

    def begin(self, number: int) -> None:
        """Begin a segment, in place of one that was not finished."""
        ...

    def add(self, frame: Frame, pixels: New, box: Box | None) -> None:
        """Store a frame."""
        ...

    def end(self) -> dict[str, Any]:
        """Finish the segment, and tell what the journal has to know about it, in JSON values.

        Among it are ``files``: the SHA-256 of each, by its name in the work folder.
        """
        ...

    def abandon(self) -> None:
        """Close what an unfinished segment holds open."""
        ...

    def finish(self) -> None:
        """Make the output of the segments that are safe, and put it into its place."""
        ...


class SegmentedSink:
    """Takes frames, and makes them safe in segments whose boundaries depend on the frames' indices alone.

    That, and an encoder that starts afresh with each segment, is why a run that was interrupted and resumed writes what
    an uninterrupted one writes.

    Attributes:
        done: frames that were safe when the sink was opened: the first to write is the one with this index.
        state: what was handed over with the last of them; None if there is none.
    """

    def __init__(self, work: Work, writer: SegmentWriter, segment_frames: int, log_path: Path | None) -> None:
        self._work, self._writer, self._segment_frames, self._log_path = work, writer, segment_frames, log_path
        self.done = sum(entry["frames"] for entry in work.entries())
        self.state: dict[str, Any] | None = work.entry(work.segments - 1)["state"] if work.segments else None
        self._next, self._records, self._last = self.done, list[str](), self.state

    def write(
        self, frame: Frame, pixels: New, box: Box | None, *, record: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """Write the next frame.

        Args:
            frame: as it came from the source; its native picture is used up.
            pixels: the new picture, RGB, upright, shape (H, W, 3), uint8; or what is added to the frame.
            box: the rectangle that may have changed; None if nothing did, then the picture goes back as it came.
            record: what is to be known about this frame, JSON values; a line of the log.
            state: what a resumed run needs to go on after this frame, JSON values.

        Raises:
            VideoError: the frame is not the next one, has another size, or cannot be stored: the disk is full.
        """
        if frame.index != self._next:
            raise VideoError(
                f"expected frame {self._next} next, got {frame.index}; go on with source.frames({self.done})"
            )
        if isinstance(pixels, np.ndarray) and pixels.shape != frame.shape:
            raise VideoError(f"expected pixels of the frame's shape {frame.shape}, got {pixels.shape}")
        line = json.dumps(record)
        with self._storing():
            if not self._records:
                self._writer.begin(self._work.segments)
            self._writer.add(frame, pixels, box)
            self._records.append(line)
            self._last, self._next = state, self._next + 1
            if len(self._records) == self._segment_frames:
                self._commit()

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records of all frames so far, of the earlier run too, in order, until the sink is left."""
        for entry in self._work.entries():
            yield from entry["records"]
        yield from map(json.loads, self._records)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish, or after an exception keep what is safe."""
        try:
            if error is not None:
                self._writer.abandon()
            else:
                self._finish()
        except BaseException:
            self._writer.abandon()
            raise
        finally:
            if self._work.segments:
                self._work.release()
            else:
                self._work.remove()

    def _finish(self) -> None:
        with self._storing():
            if self._records:
                self._commit()
            if not self._work.segments:
                raise VideoError(f"expected at least one frame for {self._work.output}, got none")
            self._writer.finish()
        try:
            if self._log_path is not None:
                with replacing(self._log_path) as temporary, temporary.open("w") as lines:
                    lines.writelines(json.dumps(record) + "\n" for record in self.records())
        finally:  # the output is in its place, whatever becomes of the log
            self._work.remove()
            self._work.segments = 0

    def _commit(self) -> None:
        entry = {"frames": len(self._records), "state": self._last, **self._writer.end()}
        self._work.commit(entry | {"records": [json.loads(line) for line in self._records]})
        self._records = []

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, OverflowError) as error:  # FFmpeg's errors are some of these
            if isinstance(error, VideoError):
                raise
            full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
            what = "the disk is full" if full else f"{self._work.output} cannot be written: {error}"
            way_out = "free some space and resume" if full else "resume when it can"
            kept = (
                f"what was done is kept in {self._work.folder}, {way_out}"
                if self._work.segments
                else "nothing was done yet"
            )
            raise VideoError(f"{what}; {kept}") from error
