"""The tab where an expression is transferred to a face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from .picker import Picker
from .sentences import said
from .studio import Choice, Studio

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


def lay_out(studio: Studio) -> tuple[Any, list[Any], list[Any]]:
    """Put the tab where the page is being built; return its action, inputs and outputs for the first picture."""
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            cast = _Cast(
                Picker.laid_out(studio, "target", "Target", "who receives"),
                Picker.laid_out(studio, "expression", "Expression", "what the performer shows"),
                Picker.laid_out(studio, "neutral", "Neutral", "the performer without it", several=True),
            )
        with gr.Column(scale=6, min_width=320, elem_classes="results"):
            first = _result(studio, cast)
            _sweep(studio, cast)
    return first


def _result(studio: Studio, cast: _Cast) -> tuple[Any, list[Any], list[Any]]:
    """The picture and what changes it."""
    picture = gr.Image(
        label="Result",
        type="filepath",
        interactive=False,
        buttons=[],
        format="png",
        alt_text="The target with the expression",
        elem_id="result",
    )
    alpha = gr.Slider(
        -0.5,
        1.5,
        0.8,
        step=0.01,
        label="alpha",
        info="Strength: 0 gives the target back, 1 transfers in full.",
        elem_id="alpha",
    )
    with gr.Accordion("A factor on alpha for each level", open=False):
        factors = [gr.Slider(0, 2, 1, step=0.05, label=_level(level, studio.levels)) for level in range(studio.levels)]
    with gr.Row():
        face = gr.DownloadButton("Download the picture", size="sm", elem_id="download-picture")
        latents = gr.DownloadButton("Download its latents", size="sm", elem_id="download-latents")
    whole = gr.Button("Put it back into the photograph", visible=False, elem_id="put-back")
    photograph = gr.Image(
        label="Photograph",
        type="filepath",
        interactive=False,
        buttons=["download", "fullscreen"],
        visible=False,
        format="png",
        elem_id="photograph",
    )
    inputs, outputs = [*cast.inputs, alpha, *factors], [picture, face, latents, whole, photograph]

    def transfer(*values: Any) -> list[Any]:
        target, expression, neutral = cast.choices(values)
        result = studio.transfer(target, expression, neutral, _strength(values[6:]))
        files = [str(result.shown), str(result.face), str(result.latents)]
        return [*files, gr.Button(visible=target.picture.photo is not None), gr.Image(visible=False)]

    def put_back(*values: Any) -> gr.Image:
        return gr.Image(str(studio.photograph(*cast.choices(values), _strength(values[6:]))), visible=True)

    action = said(transfer)
    for picker in (cast.target, cast.expression, cast.neutral):
        picker.on_change(action, inputs, outputs)
    gr.on(
        [slider.change for slider in (alpha, *factors)],
        action,
        inputs,
        outputs,
        show_progress="hidden",
        trigger_mode="always_last",
        api_visibility="private",
    )
    whole.click(said(put_back), inputs, photograph, api_visibility="private")
    return action, inputs, outputs


def _sweep(studio: Studio, cast: _Cast) -> None:
    """The strip."""
    with gr.Accordion("Sweep: many strengths side by side", open=False):
        with gr.Row():
            first = gr.Number(0, label="First alpha", minimum=-2, maximum=2, step=0.1, min_width=90)
            last = gr.Number(1, label="Last alpha", minimum=-2, maximum=2, step=0.1, min_width=90)
            count = gr.Number(6, label="Pictures", minimum=2, maximum=32, precision=0, min_width=90)
        make = gr.Button("Make the strip", variant="primary", elem_id="make-strip")
        strip = gr.Image(
            label="Strip",
            type="filepath",
            interactive=False,
            buttons=["fullscreen"],
            format="png",
            alt_text="The target in all strengths, side by side",
            elem_id="strip",
        )
        with gr.Row():
            still = gr.DownloadButton("Download the strip", size="sm", elem_id="download-strip")
            moving = gr.DownloadButton("Download it as GIF", size="sm")

    def sweep(*values: Any) -> list[str]:
        strip, animation = studio.sweep(*cast.choices(values), values[6], values[7], int(values[8]))
        return [str(strip), str(strip), str(animation)]

    make.click(said(sweep), [*cast.inputs, first, last, count], [strip, still, moving], api_visibility="private")


def _strength(values: Sequence[float]) -> list[float]:
    alpha, *factors = values
    return [alpha * factor for factor in factors]


def _level(index: int, levels: int) -> str:
    about = {0: " (finest)", levels - 1: " (coarsest)"}.get(index, "")
    return f"Level {index + 1}{about}"
