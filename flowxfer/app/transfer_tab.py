"""The tab where an expression is transferred to a face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from flowxfer.app import fields
from flowxfer.app.following import follow
from flowxfer.app.picker import Picker
from flowxfer.app.sentences import said
from flowxfer.app.studio import Choice, Studio

__all__ = ["lay_out"]


@dataclass(frozen=True)
class _Cast:
    """Who receives, and who performs."""

    target: Picker
    expression: Picker
    neutral: Picker

    @property
    def inputs(self) -> list[gr.State]:
        """What an action needs first; :meth:`choices` takes their values."""
        return [*self.target.inputs, *self.expression.inputs, *self.neutral.inputs]

    def choices(self, values: Sequence[Any]) -> tuple[Choice, Choice, Choice]:
        """The chosen faces."""
        return self.target.choice(*values[:2]), self.expression.choice(*values[2:4]), self.neutral.choice(*values[4:6])


def lay_out(studio: Studio, page: gr.Blocks) -> None:
    """Put the tab where the page is being built."""
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            cast = _Cast(
                Picker.laid_out(studio, "target", "Target", "who receives"),
                Picker.laid_out(studio, "expression", "Expression", "what the performer shows"),
                Picker.laid_out(studio, "neutral", "Neutral", "the performer without it", several=True),
            )
        with gr.Column(scale=6, min_width=320, elem_classes="results"):
            _result(studio, cast, page)
            _sweep(studio, cast)


def _result(studio: Studio, cast: _Cast, page: gr.Blocks) -> None:
    """The picture and what changes it."""
    picture = _image("Result", "result", alt_text="The target with the expression", buttons=[])
    sliders = _strengths(studio.levels)
    with gr.Row():
        face = gr.DownloadButton("Download the picture", size="sm", elem_id="download-picture")
        latents = gr.DownloadButton("Download its latents", size="sm", elem_id="download-latents")
    inputs = [*cast.inputs, *sliders]
    outputs = [picture, face, latents, *_photograph(studio, cast, inputs)]

    def transfer(*values: Any) -> list[Any]:
        target, expression, neutral = cast.choices(values)
        result = studio.transfer(target, expression, neutral, _alpha(values[6:]))
        files = [str(result.shown), str(result.face), str(result.latents)]
        return [*files, gr.Button(visible=target.picture.photo is not None), gr.Image(visible=False)]

    pickers = (cast.target, cast.expression, cast.neutral)
    follow(page, transfer, inputs, outputs, [*(picker.index for picker in pickers), *sliders])


def _strengths(levels: int) -> list[gr.Slider]:
    """alpha, and a factor on it for each level; :func:`_alpha` takes their values."""
    info = "Strength: 0 gives the target back, 1 transfers in full."
    alpha = fields.slider(-0.5, 1.5, 0.8, label="alpha", info=info, elem_id="alpha")
    with gr.Accordion("A factor on alpha for each level", open=False):
        factors = [fields.slider(0, 2, 1, step=0.05, label=_level(level, levels)) for level in range(levels)]
    return [alpha, *factors]


def _photograph(studio: Studio, cast: _Cast, inputs: list[Any]) -> list[Any]:
    """The way back into the photograph: a button, and the picture that comes of it; neither is there without one."""
    whole = gr.Button("Put it back into the photograph", visible=False, elem_id="put-back")
    photograph = _image("Photograph", "photograph", visible=False, buttons=["download", "fullscreen"])

    def put_back(*values: Any) -> gr.Image:
        return gr.Image(str(studio.photograph(*cast.choices(values), _alpha(values[6:]))), visible=True)

    whole.click(said(put_back), inputs, photograph, api_visibility="private")
    return [whole, photograph]


def _sweep(studio: Studio, cast: _Cast) -> None:
    """The strip."""
    with gr.Accordion("Sweep: many strengths side by side", open=False):
        with gr.Row():
            first = fields.number(-2, 2, 0, label="First alpha", step=0.1)
            last = fields.number(-2, 2, 1, label="Last alpha", step=0.1)
            count = fields.number(2, 32, 6, label="Pictures", whole=True)
        make = gr.Button("Make the strip", variant="primary", elem_id="make-strip")
        shows = "The target in all strengths, side by side"
        strip = _image("Strip", "strip", alt_text=shows, buttons=["fullscreen"])
        with gr.Row():
            still = gr.DownloadButton("Download the strip", size="sm", elem_id="download-strip")
            moving = gr.DownloadButton("Download it as GIF", size="sm")

    def sweep(*values: Any) -> list[str]:
        strip, animation = studio.sweep(*cast.choices(values), values[6], values[7], int(values[8]))
        return [str(strip), str(strip), str(animation)]

    make.click(said(sweep), [*cast.inputs, first, last, count], [strip, still, moving], api_visibility="private")


def _image(
    label: str, elem_id: str, *, buttons: list[Any], alt_text: str | None = None, visible: bool = True
) -> gr.Image:
    """Where a picture is shown."""
    return gr.Image(
        label=label,
        type="filepath",
        interactive=False,
        buttons=buttons,
        visible=visible,
        format="png",
        alt_text=alt_text,
        elem_id=elem_id,
    )


def _alpha(values: Sequence[float]) -> list[float]:
    alpha, *factors = values
    return [alpha * factor for factor in factors]


def _level(index: int, levels: int) -> str:
    about = {0: " (finest)", levels - 1: " (coarsest)"}.get(index, "")
    return f"Level {index + 1}{about}"
