"""The web app: pictures and films in the browser, on this machine."""

from flowxfer.app import folder  # noqa: F401  before Gradio
from flowxfer.app.proxies import without_proxies
from flowxfer.errors import unimportable

try:
    with without_proxies():
        import gradio  # noqa: F401
except ImportError as error:
    raise unimportable(error, error.name or "gradio", "app", "`flowxfer app`") from error

from flowxfer.app.application import create_app, serving
from flowxfer.app.studio import Studio

__all__ = ["Studio", "create_app", "serving"]
