"""What this installation has, what it lacks, and what to do about it: the report of ``flowxfer doctor``."""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Literal

from flowxfer.bundle import Bundle
from flowxfer.engines.ort.nvidia import CUDA_LIBRARIES, major, needed_major
from flowxfer.engines.ort.nvidia import find_library as _library
from flowxfer.engines.ort.providers import runtime
from flowxfer.errors import FlowxferError, ProviderError
from flowxfer.models.cache import cache_folder, offline
from flowxfer.models.hub import DEFAULT, list_models, resolve

if TYPE_CHECKING:
    from flowxfer.engines.protocol import EngineName
    from flowxfer.transferer import Transferer

__all__ = ["Line", "Report", "examine"]

Level = Literal["ok", "warning", "problem"]

_PACKAGES = ("flowxfer", "numpy", "pillow", "onnxruntime", "onnxruntime-gpu", "torch", "onnx", "tensorrt", "openvino")
_TENSORRT = "nvinfer"


@dataclass(frozen=True)
class Line:
    """One finding: what it is about, how grave it is, and a sentence."""

    about: str
    level: Level
    text: str


@dataclass(frozen=True)
class Report:
    """All findings."""

    lines: tuple[Line, ...]

    @property
    def healthy(self) -> bool:
        """Whether there is no problem; warnings do not count."""
        return all(line.level != "problem" for line in self.lines)


def examine(providers: Sequence[str] | None = None, engine: EngineName = "onnxruntime") -> Report:
    """Examine this installation. Nothing is downloaded and nothing is changed.

    Args:
        providers: execution providers to ask for; by default those that a Transferer would choose itself.
        engine: what is to run the default model.
    """
    parts = (_versions(), _runtimes(), _model(providers, engine), _libraries(), _memory(), _cache())
    return Report(tuple(line for part in parts for line in part))


def _versions() -> Iterator[Line]:
    yield Line("python", "ok", f"{platform.python_version()} on {platform.platform()}")
    for package in _PACKAGES:
        if version := _version(package):
            yield Line(package, "ok", version)
        elif package in ("flowxfer", "numpy", "pillow"):
            yield Line(package, "warning", "not installed as a package; `pip install -e .` in a checkout does that")


def _runtimes() -> Iterator[Line]:
    installed = [package for package in ("onnxruntime", "onnxruntime-gpu") if _version(package)]
    if len(installed) == 2:
        yield Line(
            "runtime",
            "problem",
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files; pip uninstall both,"
            " then install one: 'flowxfer[cpu]' or 'flowxfer[gpu]'",
        )
    try:
        onnxruntime = runtime()
    except ProviderError as error:
        yield Line("runtime", "problem", str(error))
        return
    except ImportError as error:
        way_out = "pip install 'flowxfer[cpu]', or 'flowxfer[gpu]' with an NVIDIA GPU, brings it"
        yield Line("runtime", "problem", f"onnxruntime cannot be imported ({error}); {way_out}")
        return
    yield Line("providers", "ok", f"in this wheel: {', '.join(onnxruntime.get_available_providers())}")


def _model(providers: Sequence[str] | None, engine: EngineName) -> Iterator[Line]:
    """Verify the default bundle and run it, for a provider that is listed may still not start."""
    if list_models().get(DEFAULT) not in ("bundled", "cached"):
        yield Line(DEFAULT, "problem", "the default model is not in this installation; install flowxfer again")
        return
    try:
        bundle = Bundle.open(resolve(DEFAULT))
        yield Line(DEFAULT, "ok", f"verified, {len(bundle.manifest.files)} files at {bundle.path}")
        transferer = _transferer(providers, engine)
    except FlowxferError as error:
        yield Line(DEFAULT, "problem", str(error))
        return
    except ImportError:
        return  # that onnxruntime is missing has been said
    asked = ", ".join(providers) if providers else "the best there is"
    yield Line("providers", "ok", f"asked for: {asked}; really active: {', '.join(transferer.providers)}")
    if lost := transferer.self_test():
        yield Line("round trip", "problem", f"{lost:.3%} of the values do not come back; use another provider")
    else:
        yield Line("round trip", "ok", "every pixel of every probe came back")


def _transferer(providers: Sequence[str] | None, engine: EngineName) -> Transferer:
    from flowxfer.transferer import Transferer

    return Transferer(DEFAULT, providers=providers, engine=engine)


def _libraries() -> Iterator[Line]:
    """Look for NVIDIA's libraries where the loader looks and where pip puts them; none is needed on a CPU."""
    gpu_wheel = _version("onnxruntime-gpu") is not None
    found = {name: _library(name) for name in CUDA_LIBRARIES}
    missing = ", ".join(f"lib{name}" for name, place in found.items() if place is None)
    if missing and not gpu_wheel:
        yield Line("cuda", "ok", f"{missing} not found; not needed on a CPU")
    elif missing:
        way_out = "pip install 'flowxfer[gpu]' brings them"
        yield Line("cuda", "warning", f"{missing} not found, so CUDA cannot start; {way_out}")
    else:
        places = [place for place in found.values() if place]
        wrong = _of_other_majors(found) if gpu_wheel else ""
        yield Line("cuda", "warning" if wrong else "ok", wrong or ", ".join(places))
    tensorrt = _library(_TENSORRT)
    wrong = _of_other_majors({_TENSORRT: tensorrt}) if gpu_wheel else ""
    text = wrong and f"{wrong}; pip install 'tensorrt-cu13>=10,<11' brings it"
    absent = "libnvinfer not found; only the TensorRT provider needs it"
    yield Line("tensorrt", "warning" if wrong else "ok", text or tensorrt or absent)


def _of_other_majors(found: Mapping[str, str | None]) -> str:
    """What is wrong with libraries that are there, but of a major version that ONNX Runtime does not load."""
    cuda = _cuda_version()
    majors = {name: (major(place), needed_major(name, cuda)) for name, place in found.items() if place}
    wrong = [f"lib{name} {has}, not {needs}" for name, (has, needs) in majors.items() if has and has != needs]
    return f"{', '.join(wrong)}, which this ONNX Runtime, built for CUDA {cuda}, loads" if wrong else ""


def _cuda_version() -> str:
    """The CUDA version that the installed ONNX Runtime was built for."""
    try:
        return str(getattr(importlib.import_module("onnxruntime"), "cuda_version", "") or "13.0")
    except ImportError:
        return "13.0"


def _memory() -> Iterator[Line]:
    cores = os.cpu_count()
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # sysconf is POSIX's; SC_AVPHYS_PAGES is Linux's
        yield Line("machine", "ok", f"{cores} cores")
        return
    level: Level = "ok" if free > 1 << 30 else "warning"
    yield Line("machine", level, f"{cores} cores, {free / 2**30:.1f} of {total / 2**30:.1f} GiB memory free")


def _cache() -> Iterator[Line]:
    folder = cache_folder()
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        text = f"{folder} cannot be written; set FLOWXFER_CACHE to a folder that can"
        yield Line("cache", "warning", text)
        return
    used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0
    network = ", FLOWXFER_OFFLINE is set" if offline() else ""
    yield Line("cache", "ok", f"{folder}, {used / 2**20:.1f} MiB{network}")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
