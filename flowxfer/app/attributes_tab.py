"""The tab where attributes of a face are changed; only of a model that has vectors for them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from flowxfer.app import fields, results
from flowxfer.app.following import follow
from flowxfer.app.picker import Picker
from flowxfer.app.studio import Studio

__all__ = ["lay_out"]


def lay_out(studio: Studio, page: gr.Blocks) -> None:
    """Put the tab where the page is being built."""
    names = list(studio.attributes)
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            target = Picker.laid_out(studio, "target", "Face", "who is changed")
            gr.Markdown("0 changes nothing, 1 goes the whole way, and below 0 it goes the other way.")
            with gr.Row(elem_classes="attributes"):
                sliders = [fields.slider(-1.5, 1.5, 0, label=name.replace("_", " "), step=0.05) for name in names]
            reset = gr.Button("All back to 0", size="sm", elem_id="reset-attributes")
        with gr.Column(scale=6, min_width=320, elem_classes="results"):
            outputs = results.lay_out("Changed", "changed")
    inputs = [*target.inputs, *sliders]

    def manipulate(*values: Any) -> list[str]:
        return results.files(studio.manipulate(target.choice(*values[:2]), dict(zip(names, values[2:], strict=True))))

    follow(page, manipulate, inputs, outputs, [target.index, *sliders])
    reset.click(lambda: [0] * len(names), None, sliders, show_progress="hidden", api_visibility="private")
