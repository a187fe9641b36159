"""What runs a bundle: ONNX Runtime, PyTorch where it does more, or OpenVINO where it is faster.

All map pictures to latents and back; :class:`flowxfer.Transferer` asks nothing else of them.
"""

from __future__ import annotations

from typing import Any

from flowxfer.bundle import Bundle
from flowxfer.engines.options import EngineOptions
from flowxfer.engines.ort.session import Session
from flowxfer.engines.protocol import Engine
from flowxfer.errors import unimportable

__all__ = ["start"]


def start(bundle: Bundle, options: EngineOptions) -> Engine[Any]:
    """Load a bundle into an engine.

    Raises:
        InputError: the engine cannot do what was asked for.
        ProviderError: the engine does not have the device.
        MissingExtraError: the engine is not installed.
    """
    options.check(bundle.manifest)
    if options.engine == "onnxruntime":
        return Session(bundle, options)
    if options.engine == "torch":
        try:
            from flowxfer.engines.torch import TorchEngine
        except ImportError as error:
            raise unimportable(error, error.name or "torch", "export", 'engine="torch"') from error
        return TorchEngine(bundle, options)
    from flowxfer.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(bundle, options)
