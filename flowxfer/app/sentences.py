"""Errors as sentences on the page."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable
from typing import Any

import gradio as gr

from flowxfer.app.folder import FOLDER
from flowxfer.errors import FlowxferError

__all__ = ["said"]

log = logging.getLogger(__name__)

_UNEXPECTED = "This did not work, and it is a mistake of flowxfer; the log of `flowxfer app` tells more."


def said(action: Callable[..., Any]) -> Callable[..., Any]:
    """Make what goes wrong in an action a message on the page; what nobody expected is logged."""

    @functools.wraps(action)
    def careful(*values: Any) -> Any:
        try:
            for value in values:
                if isinstance(value, gr.Error):  # an empty field
                    raise value
            return action(*values)
        except gr.Error:
            raise
        except FlowxferError as error:
            sentence = _named(str(error))
        except OSError as error:
            sentence = _named(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
        except Exception:
            log.exception("an action of the page failed")
            sentence = _UNEXPECTED
        raise gr.Error(sentence, title="Not done", print_exception=False)

    return careful


def _named(sentence: str) -> str:
    """A sentence in which files of the app's own folder have their names only."""
    return re.sub(rf"{re.escape(str(FOLDER))}(/[\w-]+)*/", "", sentence)
