"""A frame of a film, which becomes RGB only where somebody looks at it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

from flowxfer.images import Pixels
from flowxfer.video.io.colours import to_rgb
from flowxfer.video.io.frames import Frame
from flowxfer.video.io.planar import cut_out, luma
from flowxfer.video.io.stream_format import Look, Turn

__all__ = ["FilmFrame", "StretchedFrame"]

_AROUND_PX = 8  # so that chroma between samples is the same at the border of a part


class FilmFrame(Frame):
    """A frame whose RGB is made of the decoder's picture, whole or in parts.

    Args:
        index: from 0.
        time: in seconds.
        native: the decoder's picture.
        turn: what makes it upright.
    """

    native: VideoFrame

    def __init__(self, index: int, time: Fraction, native: VideoFrame, turn: Turn) -> None:
        super().__init__(index, time, None, native)
        self._turn = turn

    @property
    def pixels(self) -> Pixels:
        """The whole picture; it is kept once it was asked for."""
        if self._pixels is None:
            self._pixels = self._turn.upright(to_rgb(self.native))
        return self._pixels

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the pixels."""
        height, width = self.native.height, self.native.width
        return (width, height, 3) if self._turn.transposed else (height, width, 3)

    @property
    def grey(self) -> NDArray[np.uint8]:
        """The luma plane, in its own range, where there is one; otherwise the green channel."""
        grey = luma(self.native)
        return super().grey if grey is None else self._turn.upright(grey)

    def part(self, rows: slice, columns: slice) -> Pixels:
        """Cut out RGB."""
        if self._pixels is not None:
            return self._pixels[rows, columns]
        height, width, _ = self.shape
        top, left = max(0, rows.start - _AROUND_PX), max(0, columns.start - _AROUND_PX)
        bottom, right = min(height, rows.stop + _AROUND_PX), min(width, columns.stop + _AROUND_PX)
        box = self._turn.stored_box((left, top, right, bottom), height, width)
        cut = cut_out(self.native, box)
        if cut is None:
            return self.pixels[rows, columns]
        piece, (more_left, more_top, more_right, more_bottom) = cut
        stored = to_rgb(piece)
        stored = stored[more_top : stored.shape[0] - more_bottom, more_left : stored.shape[1] - more_right]
        upright = self._turn.upright(stored)
        return upright[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


class StretchedFrame(Frame):
    """A frame whose stored pixels are not square, as it is shown.

    Args:
        index: from 0.
        time: in seconds.
        native: the decoder's picture.
        look: how it is stored.
    """

    native: VideoFrame

    def __init__(self, index: int, time: Fraction, native: VideoFrame, look: Look) -> None:
        super().__init__(index, time, None, native)
        self._look = look

    @property
    def pixels(self) -> Pixels:
        """The whole picture, with square pixels; it is kept once it was asked for."""
        if self._pixels is None:
            shown = self._look.shown
            picture = Image.fromarray(to_rgb(self.native)).resize((shown.width, shown.height), Image.Resampling.BICUBIC)
            self._pixels = self._look.turn.upright(np.asarray(picture))
        return self._pixels

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the pixels."""
        return (*self._look.shown.size, 3)
