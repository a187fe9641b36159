"""The model over HTTP: pictures in, pictures and latents out, requests of many clients in one batch."""

from flowxfer.errors import MissingExtraError

try:
    import fastapi  # noqa: F401
    import python_multipart  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise MissingExtraError(error.name or "fastapi", "serve", "`flowxfer serve`") from None

from flowxfer.serve.application import create_app, listen, run
from flowxfer.serve.limits import Limits

__all__ = ["Limits", "create_app", "listen", "run"]
