"""Expression transfer with Glow, an invertible flow."""

from flowxfer.errors import FlowxferError
from flowxfer.latents import Latents
from flowxfer.transferer import Transferer

__version__ = "0.1.0"

__all__ = ["FlowxferError", "Latents", "Transferer", "__version__"]
