"""Pictures that follow what is chosen and set, without a button."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from flowxfer.app.sentences import said

__all__ = ["follow"]


def follow(
    page: gr.Blocks, action: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any], causes: Sequence[Any]
) -> None:
    """Do something when the page is opened, and whenever a component changes; what is shown is the newest.

    All causes have one listener, for each page waits for one answer of a listener at a time, and then asks once more if
    anything has changed. Answers of several listeners would come in any order.

    Args:
        page: that is being built.
        action: what is done; not while a field among the inputs is empty.
        inputs: of the action.
        outputs: likewise.
        causes: the components.
    """
    careful = said(action)

    def patient(*values: Any) -> Any:
        empty = any(isinstance(value, gr.Error) for value in values)
        return gr.skip() if empty else careful(*values)

    gr.on(
        [page.load, *(cause.change for cause in causes)],
        patient,
        inputs,
        outputs,
        show_progress="hidden",
        trigger_mode="always_last",
        api_visibility="private",
    )
