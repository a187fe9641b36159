"""NVIDIA's libraries and the GPU: where they are, which versions, and how to load what pip installed."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import io
import logging
import re
import sys
import sysconfig
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from flowxfer.errors import ProviderError

CUDA_LIBRARIES = ("cudart", "cublas", "cublasLt", "curand", "cudnn")
TENSORRT_LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")

# Majors of the libraries that ONNX Runtime's provider libraries are linked with; those of CUDA itself are CUDA's.
_MAJORS = {"curand": "10", "cudnn": "9", "nvinfer": "10"}

_CAPABILITY = (75, 76)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR

log = logging.getLogger(__name__)

__all__ = [
    "CUDA_LIBRARIES",
    "TENSORRT_LIBRARIES",
    "Gpu",
    "find_library",
    "first_gpu",
    "load_libraries",
    "major",
    "needed_major",
    "tensorrt_version",
]


@dataclass(frozen=True)
class Gpu:
    """What an engine depends on: the device's name, its compute capability such as ``9.0``, and the driver."""

    name: str
    compute_capability: str
    driver: str


def find_library(name: str) -> str | None:
    """A library where the loader looks, or where pip puts NVIDIA's."""
    if in_loader := ctypes.util.find_library(name):
        return in_loader
    packages = Path(sysconfig.get_path("purelib"))
    patterns = (
        f"nvidia/*/lib/lib{name}.so.*",
        f"nvidia/*/bin/{name}64*.dll",
        f"nvidia/*/bin/*/{name}64*.dll",  # CUDA 13
        f"tensorrt*libs/lib{name}.so.*",
        f"tensorrt*libs/{name}*.dll",
    )
    return next((str(match) for pattern in patterns for match in sorted(packages.glob(pattern))), None)


def major(library: str) -> str | None:
    """The major version in a library's file name, or None where it has none."""
    match = re.search(r"\.so\.(\d+)|_(\d+)\.dll$", library)
    return match and (match[1] or match[2])


def needed_major(name: str, cuda_version: str) -> str:
    """The major version of a library that an ONNX Runtime wheel built for a CUDA version, such as 13.0, loads."""
    return _MAJORS.get(name, cuda_version.partition(".")[0])


def load_libraries(onnxruntime: ModuleType, *, tensorrt: bool) -> None:
    """Load what pip installed, for the system's loader does not look there; what is missing, the provider will say."""
    if preload := getattr(onnxruntime, "preload_dlls", None):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            preload()
        if said.getvalue():
            log.debug("%s", said.getvalue().strip())
    for name in TENSORRT_LIBRARIES if tensorrt else ():
        if path := find_library(name):
            try:
                ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
            except OSError as error:
                log.debug("%s cannot be loaded: %s", path, error)


def tensorrt_version() -> str:
    """The version of the TensorRT library, such as ``10.16.1``.

    Raises:
        ProviderError: there is none.
    """
    path = find_library("nvinfer")
    try:
        number = int(ctypes.CDLL(path or "libnvinfer").getInferLibVersion())
    except OSError as error:
        raise ProviderError(
            "expected TensorRT's library libnvinfer, but it cannot be loaded; pip install 'tensorrt-cu13>=10,<11'"
            " brings the one that ONNX Runtime takes"
        ) from error
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


@lru_cache(maxsize=1)
def first_gpu() -> Gpu:
    """The GPU that CUDA calls device 0.

    Raises:
        ProviderError: there is no NVIDIA driver or no GPU.
    """
    windows = sys.platform == "win32"
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if windows else "libcuda.so.1")
        management = ctypes.CDLL("nvml.dll" if windows else "libnvidia-ml.so.1")
    except OSError as error:
        raise ProviderError(f"expected an NVIDIA driver, but {error}; install one, or use providers=['cpu']") from error
    device, number, text = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    _call(cuda.cuInit, 0)
    _call(cuda.cuDeviceGet, ctypes.byref(device), 0)
    _call(cuda.cuDeviceGetName, text, len(text), device)
    name, capability = text.value.decode(), []
    for attribute in _CAPABILITY:
        _call(cuda.cuDeviceGetAttribute, ctypes.byref(number), attribute, device)
        capability.append(str(number.value))
    _call(management.nvmlInit_v2)
    _call(management.nvmlSystemGetDriverVersion, text, len(text))
    return Gpu(name, ".".join(capability), text.value.decode())


def _call(function: ctypes._NamedFuncPointer, *arguments: object) -> None:
    if status := function(*arguments):
        raise ProviderError(f"expected a GPU, but {function.__name__} failed with status {status}; see nvidia-smi")
