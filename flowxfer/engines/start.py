"""What runs a bundle: ONNX Runtime, PyTorch where it does more, or OpenVINO where it is faster.

All map pictures to latents and back; :class:`flowxfer.Transferer` asks nothing else of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from flowxfer.bundle import PRECISIONS, Bundle, Manifest, Precision
from flowxfer.engines.ort.cuda import Variant
from flowxfer.engines.ort.session import Session
from flowxfer.engines.protocol import Engine, EngineName
from flowxfer.errors import InputError, MissingExtraError

__all__ = ["start"]


def start(
    engine: EngineName,
    bundle: Bundle,
    *,
    precision: Precision | None = None,
    providers: Sequence[str] | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    variant: Variant | None = None,
    cuda_graphs: bool = False,
) -> Engine[Any]:
    """Load a bundle into an engine; see :class:`flowxfer.Transferer` for the arguments.

    Raises:
        InputError: the engine is unknown, or has not what was asked for.
        ProviderError: the engine has not the device.
        MissingExtraError: the engine is not installed.
    """
    for name, value in (("batch_size", batch_size), ("threads", threads)):
        if value is not None and value < 1:
            raise InputError(f"expected {name} of at least 1, got {value}")
    _check(engine, bundle.manifest, precision, variant)
    if engine == "onnxruntime":
        return Session(
            bundle,
            providers=providers,
            batch_size=batch_size,
            threads=threads,
            variant=variant,
            cuda_graphs=cuda_graphs,
        )
    if engine == "torch":
        try:
            from flowxfer.engines.torch import TorchEngine
        except ImportError as error:
            raise MissingExtraError(error.name or "torch", "export", 'engine="torch"') from error
        return TorchEngine(
            bundle,
            precision=precision,
            providers=providers,
            batch_size=batch_size,
            threads=threads,
            cuda_graphs=cuda_graphs,
        )
    if cuda_graphs:
        raise InputError('expected no CUDA graphs with engine="openvino", which runs on CPUs')
    from flowxfer.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(bundle, providers=providers, batch_size=batch_size, threads=threads)


def _check(engine: EngineName, manifest: Manifest, precision: Precision | None, variant: Variant | None) -> None:
    if engine not in (names := get_args(EngineName)):
        raise InputError(f"expected the engine {', '.join(names[:-1])} or {names[-1]}, got {engine!r}")
    if precision not in (None, *PRECISIONS):
        raise InputError(f"expected a precision of {', '.join(PRECISIONS)}, got {precision!r}")
    if engine != "onnxruntime" and variant is not None:
        raise InputError(f'expected no variant with engine="{engine}", for only ONNX Runtime has them, got {variant!r}')
    if engine != "torch" and precision not in (None, manifest.precision):
        raise InputError(
            f"expected {manifest.precision}, which the graphs of {manifest.name} are written in, got {precision};"
            ' engine="torch" computes a bundle in any exact precision'
        )
