"""Where the result of a tab is shown, with what can be downloaded of it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from flowxfer.app.studio import Result

__all__ = ["files", "lay_out"]


def lay_out(label: str, elem_id: str) -> list[Any]:
    """Put a picture and its downloads where the page is being built: the outputs that :func:`files` are for."""
    picture = gr.Image(label=label, type="filepath", interactive=False, buttons=[], format="png", elem_id=elem_id)
    with gr.Row():
        face = gr.DownloadButton("Download the picture", size="sm", elem_id=f"{elem_id}-picture")
        latents = gr.DownloadButton("Download its latents", size="sm", elem_id=f"{elem_id}-latents")
    return [picture, face, latents]


def files(result: Result) -> list[str]:
    """What is shown, and what is downloaded."""
    return [str(result.shown), str(result.face), str(result.latents)]
