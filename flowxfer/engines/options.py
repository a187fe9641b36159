"""How a bundle is to be run: what every engine is given, in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from flowxfer.bundle import PRECISIONS, Manifest, Precision
from flowxfer.engines.protocol import EngineName
from flowxfer.errors import InputError

__all__ = ["EngineOptions", "tf32_of"]


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """What runs a bundle, and how; :class:`flowxfer.Transferer` explains each.

    Args:
        engine: what computes.
        providers: devices in order of preference, by ONNX Runtime's names or short ones; None chooses.
        batch_size: largest batch; None takes the device's default.
        threads: on the CPU; None takes one for each core.
        precision: the exact precision that PyTorch computes in; None takes the bundle's.
        tf32: whether ONNX Runtime rounds the nets' factors to TF32 on a GPU.
        cuda_graphs: whether a GPU captures one CUDA graph for each batch size and replays it.

    Raises:
        InputError: a number is below 1, or the engine or the precision is unknown.
    """

    engine: EngineName = "onnxruntime"
    providers: Sequence[str] | None = None
    batch_size: int | None = None
    threads: int | None = None
    precision: Precision | None = None
    tf32: bool = False
    cuda_graphs: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "threads"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise InputError(f"expected {name} of at least 1, got {value}")
        if self.engine not in (names := get_args(EngineName)):
            raise InputError(f"expected the engine {', '.join(names[:-1])} or {names[-1]}, got {self.engine!r}")
        if self.precision not in (None, *PRECISIONS):
            raise InputError(f"expected a precision of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if self.providers is not None:
            names = (self.providers,) if isinstance(self.providers, str) else tuple(self.providers)
            object.__setattr__(self, "providers", names)

    def check(self, manifest: Manifest) -> None:
        """Refuse what the engine cannot do with this bundle.

        Raises:
            InputError: the message names the way out.
        """
        if self.engine != "onnxruntime" and self.tf32:
            raise InputError(f'expected tf32=False with engine="{self.engine}", for only ONNX Runtime computes in TF32')
        if self.engine == "openvino" and self.cuda_graphs:
            raise InputError('expected no CUDA graphs with engine="openvino", which runs on CPUs')
        if self.engine != "torch" and self.precision not in (None, manifest.precision):
            raise InputError(
                f"expected {manifest.precision}, which the graphs of {manifest.name} are written in, got"
                f' {self.precision}; engine="torch" computes a bundle in any exact precision'
            )
        if self.tf32 and PRECISIONS[manifest.precision] != ("float64", "float32"):
            raise InputError(
                "expected a model of precision exact-fp32 for tf32=True, which rounds float32 nets and would spoil a"
                f" float32 state, got {manifest.precision}; `flowxfer export --precision exact-fp32` makes one"
            )


def tf32_of(variant: str, manifest: Manifest) -> bool:
    """What the earlier keyword ``variant`` means: of its three values two only say what the model's nets are.

    Raises:
        InputError: the value is unknown, or says something else than the model does.
    """
    nets = PRECISIONS[manifest.precision][1]
    if variant not in ("fp32", "tf32", "mixed"):
        raise InputError(f"expected a variant of fp32, tf32, mixed, got {variant!r}")
    if (variant == "mixed") != (nets == "float16"):
        raise InputError(
            f"expected no variant for a model of precision {manifest.precision}, whose nets compute in {nets}, got"
            f" {variant!r}; leave it out"
        )
    return variant == "tf32"
