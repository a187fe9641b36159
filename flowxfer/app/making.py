"""Films in the making: progress on the page, and an end where the user or the whole app wants one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

if TYPE_CHECKING:
    from flowxfer.video import Progress, Report

__all__ = ["Making"]

_TELL_EVERY_S = 0.25
_LOOK_UP_S = 0.02
_PATIENCE_S = 30


class _CancelledError(Exception):
    """Nobody wants the film any more."""


class Making:
    """The films that are being made, one for each session at most."""

    def __init__(self) -> None:
        self._cancelled: dict[str, threading.Event] = {}
        self._closed = False

    def run(
        self, make: Callable[[Callable[[Progress], None]], Report], request: gr.Request, progress: gr.Progress
    ) -> list[Any]:
        """Make a film.

        Args:
            make: makes it, and tells how far it is.
            request: whose session it is for.
            progress: is told.

        Returns:
            The film to show, the file to download, and a sentence.
        """
        session, stop, told = str(request.session_hash), threading.Event(), 0.0
        self._cancelled[session] = stop

        def tell(state: Progress) -> None:
            nonlocal told
            if stop.is_set() or self._closed:
                raise _CancelledError
            if time.monotonic() - told < _TELL_EVERY_S:
                return  # a page that is told of each frame can no longer be clicked
            told = time.monotonic()
            doing = "Studying the performer" if state.study else f"{state.fps:.0f} frames a second"
            progress((state.done, state.total), unit="frames", desc=doing)

        try:
            report = make(tell)
        except _CancelledError:
            return [None, None, "Cancelled."]
        finally:
            self._cancelled.pop(session, None)
        sentence = f"{report.frames} frames; in {report.found} of them there was a face."
        return [str(report.output), str(report.output), sentence]

    def end(self, request: gr.Request) -> None:
        """End what is being made for a session."""
        if event := self._cancelled.get(str(request.session_hash)):
            event.set()

    def close(self) -> None:
        """End everything, and come back when it has ended, or will not."""
        self._closed = True
        end = time.monotonic() + _PATIENCE_S
        while self._cancelled and time.monotonic() < end:
            time.sleep(_LOOK_UP_S)
