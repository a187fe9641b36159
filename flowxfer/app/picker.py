"""Where a face is chosen: a row of those that are there, and a button to upload others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from .sentences import said
from .studio import Choice, Studio, enlarged

# Of events that come while one is being answered the last is answered after it; by default Gradio would drop them all.
_QUEUED: dict[str, Any] = {"trigger_mode": "always_last", "api_visibility": "private"}

__all__ = ["Picker"]


@dataclass(frozen=True)
class Picker:
    """A row of faces of which one is chosen, for each session its own.

    Attributes:
        studio: has the faces that come with flowxfer.
        role: which of them: ``target``, ``expression`` or ``neutral``.
        gallery: shows them.
        button: uploads others.
        uploaded: what this session has uploaded, a list of choices.
        index: which is chosen.
        changes: what happens when that is another.
    """

    studio: Studio
    role: str
    gallery: gr.Gallery
    button: gr.UploadButton
    uploaded: gr.State
    index: gr.State
    changes: list[Any] = field(default_factory=list)

    @classmethod
    def laid_out(
        cls, studio: Studio, role: str, label: str, about: str, *, chosen: int = 0, several: bool = False
    ) -> Picker:
        """Put a picker where the page is being built.

        Args:
            studio: has the faces.
            role: which of its faces.
            label: what the chosen one is.
            about: who that is.
            chosen: index of the face that is chosen at first.
            several: whether several pictures are uploaded together, and averaged.
        """
        with gr.Column(elem_classes="picker"):
            with gr.Row(elem_classes="picker-head"):
                gr.Markdown(f"**{label}**: {about}")
                button = gr.UploadButton(
                    "Upload pictures" if several else "Upload a picture",
                    file_count="multiple" if several else "single",
                    file_types=["image"],
                    size="sm",
                    scale=0,
                    min_width=130,
                )
            gallery = gr.Gallery(
                _shown(studio.demo[role]),
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
        picker = cls(studio, role, gallery, button, gr.State([]), gr.State(chosen))
        picker._listen()
        return picker

    @property
    def inputs(self) -> list[gr.State]:
        """What an action needs to know which face is chosen; :meth:`choice` takes their values."""
        return [self.index, self.uploaded]

    def choice(self, index: int, uploaded: Sequence[Choice]) -> Choice:
        """The chosen face."""
        return [*self.studio.demo[self.role], *uploaded][index]

    def on_change(self, action: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Do something when another face has been chosen or uploaded."""
        for event in self.changes:
            event.success(action, inputs, outputs, show_progress="hidden", **_QUEUED)

    def _listen(self) -> None:
        selected = self.gallery.select(_selected, None, self.index, show_progress="hidden", **_QUEUED)
        added = self.button.upload(
            said(self._added),
            [self.button, self.uploaded],
            [self.uploaded, self.index, self.gallery],
            **_QUEUED,
        )
        self.changes.extend([selected, added])

    def _added(self, files: Any, uploaded: list[Choice]) -> tuple[list[Choice], int, gr.Gallery]:
        paths = files if isinstance(files, list) else [files]
        uploaded = [*uploaded, self.studio.upload([str(path) for path in paths])]
        every = [*self.studio.demo[self.role], *uploaded]
        return uploaded, len(every) - 1, gr.Gallery(_shown(every), selected_index=len(every) - 1)


def _selected(event: gr.SelectData) -> int:
    return int(event.index)


def _shown(choices: Sequence[Choice]) -> list[tuple[Any, str]]:
    return [(enlarged(choice.picture.face), choice.picture.name) for choice in choices]
