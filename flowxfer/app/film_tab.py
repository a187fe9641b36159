"""The tab where somebody in a film gets an expression."""

from __future__ import annotations

import threading
import time
from typing import Any

import gradio as gr

from flowxfer.errors import InputError

from .picker import Picker
from .sentences import said
from .studio import Studio

__all__ = ["lay_out"]


_TELL_EVERY_S = 0.25


class _CancelledError(Exception):
    """The user does not want the film any more."""


def lay_out(studio: Studio) -> Any:
    """Put the tab where the page is being built; return what is to be done when a session ends."""
    cancelled: dict[str, threading.Event] = {}
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            source = gr.Video(label="Film: whose largest face receives", sources=["upload"], height=240, elem_id="film")
            expression = Picker.laid_out(studio, "expression", "Expression", "what the performer shows")
            neutral = Picker.laid_out(studio, "neutral", "Neutral", "the performer without it", several=True)
        with gr.Column(scale=6, min_width=320, elem_classes="results"):
            result = gr.Video(label="Result", interactive=False, buttons=[], elem_id="film-result")
            status = gr.Markdown(elem_id="film-status")
            alpha = gr.Slider(-0.5, 1.5, 0.8, step=0.01, label="alpha", info="Strength: 0 leaves the film as it is.")
            with gr.Row():
                make = gr.Button("Make the film", variant="primary", elem_id="make-film")
                cancel = gr.Button("Cancel", variant="stop", elem_id="cancel-film")
            file = gr.DownloadButton("Download the film", size="sm")

    def process(
        path: str | None,
        e_index: int,
        e_uploaded: list[Any],
        n_index: int,
        n_uploaded: list[Any],
        strength: float,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  as Gradio wants it
    ) -> list[Any]:
        if path is None:
            raise InputError("expected a film, got none; upload one first")
        stop, told = threading.Event(), 0.0
        cancelled[str(request.session_hash)] = stop

        def tell(state: Any) -> None:
            nonlocal told
            if stop.is_set():
                raise _CancelledError
            if time.monotonic() - told < _TELL_EVERY_S:
                return  # a page that is told of each frame can no longer be clicked
            told = time.monotonic()
            progress((state.done, state.total), unit="frames", desc=f"{state.fps:.0f} frames a second")

        try:
            chosen = expression.choice(e_index, e_uploaded), neutral.choice(n_index, n_uploaded)
            report = studio.film(path, *chosen, strength, tell)
        except _CancelledError:
            return [None, None, "Cancelled."]
        finally:
            cancelled.pop(str(request.session_hash), None)
        sentence = f"{report.frames} frames; in {report.found} of them there was a face."
        return [str(report.output), str(report.output), sentence]

    def end(request: gr.Request) -> None:
        if event := cancelled.get(str(request.session_hash)):
            event.set()

    inputs = [source, *expression.inputs, *neutral.inputs, alpha]
    for picker in (expression, neutral):
        picker.on_change(lambda: None, [], [])
    make.click(
        said(process),
        inputs,
        [result, file, status],
        show_progress_on=result,
        concurrency_limit=1,
        api_visibility="private",
    )
    cancel.click(end, queue=False, api_visibility="private")
    return end
