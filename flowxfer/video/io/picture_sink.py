"""Frames to a folder of PNG pictures."""

from __future__ import annotations

from typing import Any

from flowxfer.bundle import sha256
from flowxfer.files import destination, put
from flowxfer.images import save
from flowxfer.provenance import Mark
from flowxfer.video.io.frames import Box, Frame, New, shown
from flowxfer.video.io.work_folder import Work

__all__ = ["PictureSegmentWriter"]


class PictureSegmentWriter:
    """Pictures in the work folder, which move to the output when all are there.

    Args:
        work: the work folder.
        names: of the pictures without suffix, by the frames' indices; None numbers them from 1.
        mark: what each picture says of how it was made.
    """

    def __init__(self, work: Work, names: list[str] | None, mark: Mark | None) -> None:
        self._work, self._names, self._folder = work, names, work.folder / "pictures"
        self._mark, self._files = mark, dict[str, str]()

    def begin(self, number: int) -> None:
        """Pictures of an unfinished segment are written again, each whole or not at all."""
        self._files = {}

    def add(self, frame: Frame, new: New, box: Box | None) -> None:
        """Write a picture."""
        name = self._names[frame.index] if self._names else f"frame_{frame.index + 1:06}"
        path = self._folder / f"{name}.png"
        save(shown(frame, new), path, self._mark)
        self._files[path.relative_to(self._work.folder).as_posix()] = sha256(path)

    def end(self) -> dict[str, Any]:
        """Nothing but the pictures' checksums is to be known."""
        return {"files": self._files}

    def abandon(self) -> None:
        """Nothing is open."""

    def finish(self) -> None:
        """Move the pictures to the output; pictures there that have other names stay."""
        output = self._work.output
        output.mkdir(parents=True, exist_ok=True)
        for picture in sorted(self._folder.iterdir()):
            put(picture, destination(output / picture.name))
