"""The film of a performer: whose face it shows at a time, and what it is without expression."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from flowxfer.errors import InputError
from flowxfer.faces import Aligned, Tracker
from flowxfer.faces.states import count
from flowxfer.images import Pixels
from flowxfer.video.io.frames import Frame
from flowxfer.video.io.source import Source
from flowxfer.video.pipeline import Step

__all__ = ["Performance", "on_film", "on_photo"]


class Performance:
    """The performer's face at any time that does not run backwards.

    Args:
        source: the film.
        tracker: a fresh one.
        state: of another performance of that film, to go on from it.

    Raises:
        InputError: the state is none, or of another film.

    Attributes:
        turn: how far the head is turned that was shown last, as :meth:`~flowxfer.faces.Tracker.turn` tells.
    """

    def __init__(self, source: Source, tracker: Tracker, state: dict[str, Any] | None = None) -> None:
        self._tracker, self._frame_seconds = tracker, 1 / source.rate
        self._face: Aligned | None = None
        self._shown: Fraction | None = None  # since when
        self.turn = 0.0
        self.state = state
        first = 0
        if state:
            tracker.restore(state.get("tracker", {}))
            first = _index(state.get("frame"))
        self._frames = source.frames(first)
        self._next = next(self._frames, None)
        if state and self._next is None:
            raise InputError(f"expected the driver to have the frame {first} of the unfinished run; it is shorter")
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
        self.turn = 0.0 if self._face is None else self._tracker.turn(frame, self._face)
        self._next = next(self._frames, None)


def _index(value: Any) -> int:
    try:
        return count(value)
    except ValueError as error:
        raise InputError("expected the state of a performance, got another or a damaged one") from error


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
        turn = 0.0 if performer is None else tracker.turn(frame, performer)
        shown = Frame(frame.index, frame.time, photo)
        began, missing = tracker.began or missing, performer is None
        yield Step(shown, None if missing else face, performer, turn, began, state={"tracker": tracker.state})


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
        yield Step(frame, None if missing else face, performer, performance.turn, began, state=state)
