"""The web app: pictures and films in the browser, on this machine."""

from flowxfer.errors import MissingExtraError

from . import folder  # noqa: F401  before Gradio

try:
    import gradio  # noqa: F401
except ImportError as error:
    raise MissingExtraError(error.name or "gradio", "app", "`flowxfer app`") from None

from .application import create_app, serving
from .studio import Studio

__all__ = ["Studio", "create_app", "serving"]
