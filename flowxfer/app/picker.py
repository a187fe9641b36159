"""Where a face is chosen: a row of those that are there, and a button to upload others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from flowxfer.app.sentences import said
from flowxfer.app.studio import Choice, Studio, enlarged

__all__ = ["Picker"]

# Of events that come while one is being answered the last is answered after it; by default Gradio would drop them all.
_QUEUED: dict[str, Any] = {"trigger_mode": "always_last", "api_visibility": "private"}


@dataclass(frozen=True)
class Picker:
    """A row of faces of which one is chosen, for each session its own.

    Attributes:
        offered: the faces that come with flowxfer.
        uploaded: what this session has uploaded, a list of choices.
        index: which is chosen, the offered before the uploaded ones; it changes with every choice and upload.
    """

    offered: Sequence[Choice]
    uploaded: gr.State
    index: gr.State

    @classmethod
    def laid_out(
        cls, studio: Studio, role: str, label: str, about: str, *, chosen: int = 0, several: bool = False
    ) -> Picker:
        """Put a picker where the page is being built.

        Args:
            studio: has the faces.
            role: which of its faces: ``target``, ``expression`` or ``neutral``.
            label: what the chosen one is.
            about: who that is.
            chosen: index of the face that is chosen at first.
            several: whether several pictures are uploaded together, and averaged.
        """
        offered = studio.demo[role]
        with gr.Column(elem_classes="picker"):
            with gr.Row(elem_classes="picker-head"):
                gr.Markdown(f"**{label}**: {about}")
                button = _upload_button(several)
            gallery = _gallery(offered, chosen, label, role)
        picker = cls(offered, gr.State([]), gr.State(chosen))
        picker._listen(studio, gallery, button)
        return picker

    @property
    def inputs(self) -> list[gr.State]:
        """What an action needs to know which face is chosen; :meth:`choice` takes their values."""
        return [self.index, self.uploaded]

    def choice(self, index: int, uploaded: Sequence[Choice]) -> Choice:
        """The chosen face."""
        return [*self.offered, *uploaded][index]

    def _listen(self, studio: Studio, gallery: gr.Gallery, button: gr.UploadButton) -> None:
        gr.on(
            [gallery.select, self.index.change],  # the latter until it agrees with what the page shows
            _selected,
            gallery,
            self.index,
            js="gallery => ({selected_index: gallery.selected_index})",  # pictures need not be sent, and may be gone
            preprocess=False,
            show_progress="hidden",
            **_QUEUED,
        )

        def add(files: Any, uploaded: list[Choice]) -> tuple[list[Choice], int, gr.Gallery]:
            paths = files if isinstance(files, list) else [files]
            uploaded = [*uploaded, studio.upload([str(path) for path in paths])]
            every = [*self.offered, *uploaded]
            last = len(every) - 1
            return uploaded, last, gr.Gallery(_shown(every), selected_index=last)

        button.upload(said(add), [button, self.uploaded], [self.uploaded, self.index, gallery], **_QUEUED)


def _selected(gallery: gr.Gallery) -> Any:
    """The index that the page shows when it asks; an event that had to wait brings that of the one it waited for."""
    return gr.skip() if gallery.selected_index is None else gallery.selected_index


def _upload_button(several: bool) -> gr.UploadButton:
    return gr.UploadButton(
        "Upload pictures" if several else "Upload a picture",
        file_count="multiple" if several else "single",
        file_types=["image"],
        size="sm",
        scale=0,
        min_width=130,
    )


def _gallery(choices: Sequence[Choice], chosen: int, label: str, role: str) -> gr.Gallery:
    return gr.Gallery(
        _shown(choices),
        label=label,
        show_label=False,
        container=False,
        height="auto",
        allow_preview=False,
        object_fit="cover",
        selected_index=chosen,
        format="png",
        buttons=[],
        interactive=False,
        elem_classes=["faces", f"{role}-faces"],
    )


def _shown(choices: Sequence[Choice]) -> list[tuple[Any, str]]:
    return [(enlarged(choice.picture.face), choice.picture.name) for choice in choices]
