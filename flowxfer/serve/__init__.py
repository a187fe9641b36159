"""The model over HTTP: pictures in, pictures and latents out, requests of many clients in one batch."""

from flowxfer.errors import unimportable

try:
    import fastapi  # noqa: F401
    import python_multipart  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise unimportable(error, error.name or "fastapi", "serve", "`flowxfer serve`") from error

from flowxfer.serve.application import create_app, listen, run
from flowxfer.serve.limits import Limits

__all__ = ["Limits", "create_app", "listen", "run"]
