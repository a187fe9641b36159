"""The film of a performer: whose face it shows at a time, and what it is without expression."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from flowxfer.errors import InputError
from flowxfer.faces import Aligned, Tracker
from flowxfer.images import Pixels
from flowxfer.latents import Latents
from flowxfer.transferer import Transferer

from .frames import Frame
from .pipeline import Step
from .source import Source

__all__ = ["Performance", "on_film", "on_photo", "opening_neutral"]


class Performance:
    """The performer's face at any time that does not run backwards.

    Args:
        source: the film.
        tracker: a fresh one.
        state: of another performance of that film, to go on from it.
    """

    def __init__(self, source: Source, tracker: Tracker, state: dict[str, Any] | None = None) -> None:
        self._tracker, self._frame_seconds = tracker, 1 / source.rate
        self._face: Aligned | None = None
        self._shown: Fraction | None = None  # since when
        self.state = state
        if state:
            tracker.restore(state["tracker"])
        self._frames = source.frames(state["frame"] if state else 0)
        self._next = next(self._frames, None)
        if state:
            self._show()

    def at(self, time: Fraction) -> tuple[Aligned | None, bool]:
        """Look at the face that is shown at a time.

        Args:
            time: in seconds from the film's beginning.

        Returns:
            The face, None where there is none or the film is over; and whether it was found anew since the last look.
        """
        began = False
        while self._next is not None and self._next.time <= time:
            self._show()
            began |= self._tracker.began
        over = self._next is None and self._shown is not None and time >= self._shown + self._frame_seconds
        return (None if over else self._face), began

    def _show(self) -> None:
        frame = self._next
        assert frame is not None
        self.state = {"frame": frame.index, "tracker": self._tracker.state}  # before it: it is seen again then
        self._face, self._shown = self._tracker.follow(frame, float(frame.time)), frame.time
        self._next = next(self._frames, None)


def on_photo(frames: Iterator[Frame], tracker: Tracker, photo: Pixels, face: Aligned) -> Iterator[Step]:
    """Pair each of the performer's frames with a photograph, which takes the frame's place.

    Args:
        frames: of the performer.
        tracker: for them.
        photo: RGB, shape (H, W, 3), uint8.
        face: in the photograph.
    """
    missing = False
    for frame in frames:
        performer = tracker.follow(frame, float(frame.time))
        shown = Frame(frame.index, frame.time, photo)
        began, missing = tracker.began or missing, performer is None
        yield Step(shown, None if missing else face, performer, began, state={"tracker": tracker.state})


def on_film(frames: Iterator[Frame], tracker: Tracker, performance: Performance, start: Fraction) -> Iterator[Step]:
    """Pair each frame of a film with the performer's face at its time.

    Args:
        frames: of the film that receives.
        tracker: for them.
        performance: begins when the film's range does.
        start: of that range, in seconds.
    """
    missing = False
    for frame in frames:
        face = tracker.follow(frame, float(frame.time))
        performer, began = performance.at(frame.time - start)
        began, missing = began or missing, face is None or performer is None
        state = {"tracker": tracker.state, "performance": performance.state}
        yield Step(frame, None if missing else face, performer, began, state=state)


def opening_neutral(source: Source, tracker: Tracker, transferer: Transferer, frames: int) -> Latents:
    """Average the performer's face over the first frames that show it, as their face without expression.

    Raises:
        InputError: the film never shows a face.
    """
    crops = []
    for frame in source.frames():
        face = tracker.follow(frame, float(frame.time))
        if face is not None:
            crops.append(face.crop)
        if len(crops) == frames:
            break
    if not crops:
        raise InputError("expected a face in the driver, found none; it may be too small or turned away")
    return transferer.mean(np.stack(crops))
