"""The tabs where two faces are mixed, and faces are drawn."""

from __future__ import annotations

from typing import Any

import gradio as gr

from flowxfer.app import fields, results
from flowxfer.app.following import follow
from flowxfer.app.picker import Picker
from flowxfer.app.sentences import said
from flowxfer.app.studio import Studio

__all__ = ["lay_out_mix", "lay_out_sample"]


def lay_out_mix(studio: Studio, page: gr.Blocks) -> None:
    """Put the tab where the page is being built."""
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            first = Picker.laid_out(studio, "target", "First face", "at 0")
            second = Picker.laid_out(studio, "target", "Second face", "at 1", chosen=1)
        with gr.Column(scale=6, min_width=320, elem_classes="results"):
            outputs = results.lay_out("Between them", "mixed")
            info = "0 is the first face, 1 the second."
            alpha = fields.slider(0, 1, 0.5, label="alpha", info=info, elem_id="mix-alpha")
    inputs = [*first.inputs, *second.inputs, alpha]

    def mix(*values: Any) -> list[str]:
        return results.files(studio.mix(first.choice(*values[:2]), second.choice(*values[2:4]), values[4]))

    follow(page, mix, inputs, outputs, [first.index, second.index, alpha])


def lay_out_sample(studio: Studio) -> None:
    """Put the tab where the page is being built."""
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            count = fields.slider(1, 36, 9, step=1, label="Faces")
            info = "Factor on the noise; lower is safer and plainer."
            temperature = fields.slider(0, 1.5, 0.7, step=0.05, label="Temperature", info=info)
            info = "Another number gives other faces."
            seed = fields.number(0, 2**32 - 1, 1, label="Seed", info=info, whole=True)
            draw = gr.Button("Draw faces", variant="primary")
        with gr.Column(scale=6, min_width=320, elem_classes="results"):
            sheet = gr.Image(
                label="Faces of nobody",
                type="filepath",
                interactive=False,
                buttons=["fullscreen"],
                format="png",
                elem_id="sheet",
            )
            file = gr.DownloadButton("Download the picture", size="sm")

    def sample(count: float, temperature: float, seed: float) -> list[str]:
        path = str(studio.sample(int(count), temperature, int(seed)))
        return [path, path]

    draw.click(said(sample), [count, temperature, seed], [sheet, file], api_visibility="private")
