"""Who takes part. Each runs in a process of its own, with the environment that suits it best."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

from flowxfer.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from .peers.runner import Runner

# PyTorch takes large arrays from the system and gives them back at every call, and each page of them is cleared anew.
# With glibc's allocator told to keep them eager PyTorch is up to twice as fast, which is only fair to it.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(1 << 26)}

__all__ = ["ABLATION", "CONTESTANTS", "DEFAULT", "KEEP_MEMORY", "Contestant", "chosen"]


@dataclass(frozen=True)
class Contestant:
    """A way to run the model.

    Args:
        runner: its class, ``module:Class`` in ``peers``.
        about: what it is, for the report.
        packages: what has to be installed.
        environment: of its process.
        same_weights: whether it holds the model's weights, so that its numbers can be compared.
        batches: the only ones that it is given, or None for all.
    """

    runner: str
    about: str
    packages: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    same_weights: bool = True
    batches: tuple[int, ...] | None = None

    def load(self) -> type[Runner]:
        """The runner's class."""
        module, name = self.runner.split(":")
        runner: type[Runner] = getattr(importlib.import_module(f"flowxfer.benchmarks.peers.{module}"), name)
        return runner


_ORT = ("onnxruntime",)
_TORCH = ("torch",)

_PEERS = {
    "flowxfer": Contestant("own:Exact", "as shipped: exact-fp32 graphs", _ORT),
    "flowxfer-fp32": Contestant("own:Plain", "plain fp32 graphs", _ORT),
    "flowxfer-bf16": Contestant("own:Bfloat16", "exact-bf16, in PyTorch", (*_TORCH, *_ORT), KEEP_MEMORY),
    "eager": Contestant("torch_runner:Eager", "PyTorch as published ports write it", _TORCH, KEEP_MEMORY),
    "folded": Contestant("torch_runner:Folded", "PyTorch with all folded by hand", _TORCH, KEEP_MEMORY),
    "compiled": Contestant(  # it compiles for each batch anew
        "torch_runner:Compiled", "torch.compile of folded's steps", _TORCH, KEEP_MEMORY, batches=(1, 8)
    ),
    "normflows": Contestant(
        "normflows_runner:Normflows", "the package normflows", ("torch", "normflows"), KEEP_MEMORY, same_weights=False
    ),
    "traced": Contestant("traced_runners:Traced", "PyTorch's export of eager, in ONNX Runtime", (*_TORCH, *_ORT)),
    "openvino": Contestant("graph_runners:OpenVino", "OpenVINO on our fp32 graphs", ("openvino",)),
    "openvino-exact": Contestant("graph_runners:OpenVinoExact", "OpenVINO on our exact graphs", ("openvino",)),
}
_WITHOUT_A_TRICK = {
    "concat-traced": Contestant(
        "traced_runners:ConcatTraced", "export of folded, edges concatenated", (*_TORCH, *_ORT)
    ),
    "folded-traced": Contestant("traced_runners:FoldedTraced", "export of folded, edges as maps", (*_TORCH, *_ORT)),
    "conv-only": Contestant("graph_runners:WithoutTransposes", "our fp32 graphs, no ConvTranspose", _ORT),
    "graph-fp32": Contestant("graph_runners:OrtGraph", "our fp32 graphs, without the library around them", _ORT),
    "unblocked": Contestant("graph_runners:OrtBasic", "our fp32 graphs, convolutions not in blocks (NCHWc)", _ORT),
    "spinning": Contestant("graph_runners:OrtSpinning", "our fp32 graphs, threads spin on after a run", _ORT),
    "together": Contestant("own:Together", "as shipped, but all threads on every operation", _ORT),
}
CONTESTANTS = _PEERS | _WITHOUT_A_TRICK
DEFAULT, ABLATION = list(_PEERS), list(_WITHOUT_A_TRICK)


def chosen(names: list[str]) -> dict[str, Contestant]:
    """Contestants by their names.

    Raises:
        InputError: there is none of that name.
        MissingExtraError: a package that one needs is not installed.
    """
    if unknown := [name for name in names if name not in CONTESTANTS]:
        raise InputError(f"expected contestants of {', '.join(CONTESTANTS)}, got {', '.join(unknown)}")
    for name in names:
        for package in CONTESTANTS[name].packages:
            if find_spec(package) is None:
                raise MissingExtraError(package, "bench", f"the contestant {name}")
    return {name: CONTESTANTS[name] for name in names}
