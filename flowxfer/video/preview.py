"""A film at a glance: every n-th frame on one sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from flowxfer import images
from flowxfer.errors import InputError
from flowxfer.images import Pixels, contact_sheets
from flowxfer.provenance import Mark
from flowxfer.video.io.frames import shown
from flowxfer.video.pipeline import Step

__all__ = ["Preview"]

_WIDTH_PX = 320
_MOST = 48  # pictures; where there would be more, every second one is dropped and only every 2n-th is taken


class Preview:
    """Collects every n-th frame that it is shown, reduced to 320 pixels of width.

    Args:
        every: n.
    """

    def __init__(self, every: int) -> None:
        if every < 1:
            raise InputError(f"expected a preview of every n-th frame with n of at least 1, got {every}")
        self._every, self._pictures, self._labels = every, list[Pixels](), list[str]()

    def show(self, step: Step) -> None:
        """Take a frame, if it is its turn."""
        if step.frame.index % self._every or step.pixels is None:
            return
        if len(self._pictures) == _MOST:
            self._every *= 2
            self._pictures, self._labels = self._pictures[::2], self._labels[::2]
            if step.frame.index % self._every:
                return
        picture = Image.fromarray(shown(step.frame, step.pixels))
        height = max(1, round(picture.height * _WIDTH_PX / picture.width))
        self._pictures.append(np.asarray(picture.resize((_WIDTH_PX, height), Image.Resampling.BILINEAR)))
        self._labels.append(f"{float(step.frame.time):.2f} s")

    def save(self, path: Path, mark: Mark | None = None) -> None:
        """Write the sheet; without a picture there is none."""
        if self._pictures:
            images.save(contact_sheets.sheet(self._pictures, self._labels), path, mark)
