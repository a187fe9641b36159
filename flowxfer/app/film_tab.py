"""The tab where somebody in a film gets an expression, and where a film performs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import gradio as gr

from flowxfer.app import fields
from flowxfer.app.making import Making
from flowxfer.app.picker import Picker
from flowxfer.app.sentences import said
from flowxfer.app.studio import Choice, Studio
from flowxfer.errors import InputError

__all__ = ["lay_out"]

Action: TypeAlias = "tuple[gr.Button, Callable[..., list[Any]], list[Any]]"
"""The button that begins to make a film, what it does, and with which inputs."""


def lay_out(studio: Studio, making: Making) -> None:
    """Put the tab where the page is being built."""
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            with gr.Tab("One expression"):
                edit = _edit(studio, making)
            with gr.Tab("A performance"):
                drive = _drive(studio, making)
        with gr.Column(scale=6, min_width=320, elem_classes="film-made"):
            result = gr.Video(label="Result", interactive=False, buttons=[], elem_id="film-result")
            status = gr.Markdown(elem_id="film-status")
            with gr.Row():
                file = gr.DownloadButton("Download the film", size="sm", elem_id="download-film")
                cancel = gr.Button("Cancel", size="sm", elem_id="cancel-film")
    for button, action, inputs in (edit, drive):
        button.click(
            said(action),
            inputs,
            [result, file, status],
            show_progress_on=result,
            concurrency_id="films",  # one at a time, of both kinds
            concurrency_limit=1,
            api_visibility="private",
        )
    cancel.click(making.end, queue=False, api_visibility="private")


def _edit(studio: Studio, making: Making) -> Action:
    """One expression for a whole film."""
    source = _film(studio, "Film: whose largest face receives", "film")
    expression = Picker.laid_out(studio, "expression", "Expression", "what the performer shows")
    neutral = Picker.laid_out(studio, "neutral", "Neutral", "the performer without it", several=True)
    alpha = fields.slider(-0.5, 1.5, 0.8, label="alpha", info="Strength: 0 leaves the film as it is.")
    make = gr.Button("Make the film", variant="primary", elem_id="make-film")

    def edit(
        path: str | None,
        e_index: int,
        e_uploaded: list[Choice],
        n_index: int,
        n_uploaded: list[Choice],
        strength: float,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  as Gradio wants it
    ) -> list[Any]:
        film = _given(path, "film")
        chosen = expression.choice(e_index, e_uploaded), neutral.choice(n_index, n_uploaded)
        return making.run(lambda tell: studio.film(film, *chosen, strength, tell), request, progress)

    return make, edit, [source, *expression.inputs, *neutral.inputs, alpha]


def _drive(studio: Studio, making: Making) -> Action:
    """Everything that somebody shows in a film, onto a picture or another film."""
    driver = _film(studio, "Film: whose largest face performs", "driver")
    gr.Markdown("What they look like without expression is learnt from this film.")
    whom = gr.Radio([("A picture", "picture"), ("Another film", "film")], value="picture", label="Who receives")
    with gr.Column() as pictures:
        target = Picker.laid_out(studio, "target", "Target", "who receives")
    receiver = gr.Video(
        label="Film: whose largest face receives", sources=["upload"], height=240, visible=False, elem_id="receiver"
    )
    alpha = fields.slider(0, 1.5, 1, label="alpha", info="Strength: 1 transfers the performance in full.")
    make = gr.Button("Make the film", variant="primary", elem_id="drive-film")

    def show(whom: str) -> list[Any]:
        return [gr.Column(visible=whom == "picture"), gr.Video(visible=whom == "film")]

    def drive(
        path: str | None,
        whom: str,
        index: int,
        uploaded: list[Choice],
        other: str | None,
        strength: float,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  as Gradio wants it
    ) -> list[Any]:
        film = _given(path, "film of the performer")
        receives = _given(other, "film to receive") if whom == "film" else target.choice(index, uploaded)
        return making.run(lambda tell: studio.drive(film, receives, strength, tell), request, progress)

    whom.change(show, whom, [pictures, receiver], show_progress="hidden", api_visibility="private")
    return make, drive, [driver, whom, *target.inputs, receiver, alpha]


def _film(studio: Studio, label: str, elem_id: str) -> gr.Video:
    return gr.Video(studio.demo_film, label=label, sources=["upload"], height=240, elem_id=elem_id)


def _given(path: str | None, what: str) -> str:
    if path is None:
        raise InputError(f"expected a {what}, got none; upload one first")
    return path
