"""Numbers that are asked for, and a sentence where there is none: Gradio's slider would answer with a TypeError.

An empty field is no mistake yet, for somebody may be typing: an action gets the sentence in the place of the number, an
error that :func:`~flowxfer.app.sentences.said` raises and :func:`~flowxfer.app.following.follow` waits out.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

__all__ = ["number", "slider"]


def slider(
    low: float,
    high: float,
    value: float,
    *,
    label: str,
    step: float = 0.01,
    info: str | None = None,
    elem_id: str | None = None,
) -> gr.Slider:
    """Put a slider where the page is being built."""
    made = gr.Slider(low, high, value, step=step, label=label, info=info, elem_id=elem_id)
    _check(made)
    return made


def number(
    low: float, high: float, value: float, *, label: str, step: float = 1, info: str | None = None, whole: bool = False
) -> gr.Number:
    """Put a field for a number where the page is being built."""
    precision = 0 if whole else None
    made = gr.Number(
        value, label=label, info=info, minimum=low, maximum=high, step=step, precision=precision, min_width=90
    )
    _check(made)
    return made


def _check(field: Any) -> None:
    taken = field.preprocess

    def careful(value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not field.minimum <= value <= field.maximum:  # which nan is not
            wanted = f"a number from {field.minimum:g} to {field.maximum:g} for {field.label}"
            got = "none" if value is None else str(value)[:40]
            error = gr.Error(f"expected {wanted}, got {got}", title="Not done", print_exception=False)
            if value is None:
                return error
            raise error
        return taken(value)

    field.preprocess = careful
