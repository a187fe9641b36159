"""ONNX Runtime's execution providers: which are asked for, which are there, which are really active."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from flowxfer.engines.ort.nvidia import load_libraries
from flowxfer.errors import MissingExtraError, ProviderError, reason

if TYPE_CHECKING:
    import onnxruntime

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
_SHORT = {"cpu": CPU, "cuda": CUDA, "tensorrt": TENSORRT}

log = logging.getLogger(__name__)

__all__ = ["CPU", "CUDA", "TENSORRT", "activate", "choose", "runtime"]


def runtime() -> ModuleType:
    """The onnxruntime module.

    Raises:
        MissingExtraError: neither of its wheels is installed.
        ProviderError: one is, but cannot be loaded; or of one that was removed there is an empty folder.
    """
    try:
        import onnxruntime
    except ImportError as error:
        if error.name == "onnxruntime":
            raise MissingExtraError("onnxruntime", "cpu", "running a model") from error
        raise _broken(reason(error)) from error
    module: ModuleType = onnxruntime
    if not hasattr(module, "InferenceSession"):
        raise _broken("it has no InferenceSession")
    return module


def _broken(why: str) -> ProviderError:
    return ProviderError(
        f"expected an ONNX Runtime that can be loaded, got a broken one ({why}); pip uninstall onnxruntime and "
        "onnxruntime-gpu, then install one of them again: 'flowxfer[cpu]' or 'flowxfer[gpu]'"
    )


def choose(asked: Sequence[str] | None = None) -> list[str]:
    """Providers to ask a session for, by their ONNX Runtime names.

    Args:
        asked: names in order of preference, ONNX Runtime's or the short ``"cpu"``, ``"cuda"`` and ``"tensorrt"``; None
            takes CUDA where it is installed, and the CPU.

    Raises:
        ProviderError: a name is not among those that this ONNX Runtime was built with.
    """
    available = runtime().get_available_providers()
    if asked is None:
        return [name for name in (CUDA, CPU) if name in available]
    names = [_SHORT.get(name.lower(), name) for name in ([asked] if isinstance(asked, str) else asked)]
    if missing := [name for name in names if name not in available]:
        raise ProviderError(
            f"expected providers of {', '.join(available)}, got {', '.join(missing)}; "
            "onnxruntime-gpu brings CUDA and TensorRT: pip uninstall onnxruntime, then pip install 'flowxfer[gpu]'"
        )
    if not names:
        raise ProviderError(f"expected at least one provider of {', '.join(available)}, got none")
    return names


def activate(
    graph: Path,
    wanted: Sequence[str],
    *,
    explicit: bool,
    threads: int | None = None,
    options: Mapping[str, Mapping[str, str]] | None = None,
) -> onnxruntime.InferenceSession:
    """A session that really runs on the first of the wanted providers.

    Args:
        graph: an ONNX file.
        wanted: what :func:`choose` gave.
        explicit: whether the user named them; then a provider that does not start is an error, otherwise a warning.
        threads: threads of the CPU provider, or None for ONNX Runtime's choice.
        options: the providers' own, by their names.

    Raises:
        ProviderError: an explicit request that cannot be met.
    """
    ort = runtime()
    if gpu := {CUDA, TENSORRT} & set(wanted):
        load_libraries(ort, tensorrt=TENSORRT in gpu)
    settings = ort.SessionOptions()
    settings.log_severity_level = 3  # errors; what a provider's start lacks is said below, once
    # The threads of one graph spin on after its run and take the cores from the next graph's: a transfer of 8 faces on
    # two cores took 122 ms with that and takes 75 ms without (medians; 64 px model).
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    if threads is not None:
        settings.intra_op_num_threads = threads
    settings.use_deterministic_compute = bool(gpu)  # both directions have to round alike
    if not _is_text(graph):
        raise ProviderError(f"expected a bundle in a folder whose name is UTF-8, got {str(graph)!a}; rename it")
    try:
        session = ort.InferenceSession(
            graph, settings, providers=[(name, dict((options or {}).get(name, {}))) for name in wanted]
        )
    except Exception as error:  # ONNX Runtime's errors have no common base
        if explicit or wanted[0] == CPU:
            raise ProviderError(f"expected {wanted[0]} to load {graph}: {reason(error)}") from error
        session = ort.InferenceSession(graph, settings, providers=[CPU])
    active = session.get_providers()[0]
    if active != wanted[0]:
        # ONNX Runtime falls back to the CPU without an error: compare what was asked with what came.
        message = f"expected {wanted[0]}, but ONNX Runtime runs on {active}; `flowxfer doctor` says what is missing"
        if explicit:
            raise ProviderError(message)
        warnings.warn(message, RuntimeWarning, stacklevel=4)
    return session


def _is_text(path: Path) -> bool:
    """Whether a path is more than bytes: ONNX Runtime takes no other."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
