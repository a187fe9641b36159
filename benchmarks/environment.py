"""Where the figures come from: the machine, the versions, the settings, and how busy it was."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .contestants import KEEP_MEMORY

PACKAGES = ("flowxfer", "numpy", "onnxruntime", "onnxruntime-gpu", "onnx", "torch", "normflows", "openvino")
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8")

__all__ = ["describe", "load_average"]


def describe() -> dict[str, Any]:
    """The environment as JSON values."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu_info("model name") or platform.processor(),
        "flags": [flag for flag in FLAGS if flag in (_cpu_info("flags") or "").split()],
        "caches": _caches(),
        "memory_gib": _memory_gib(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "allocator": f"PyTorch's contestants: glibc with {' '.join(f'{k}={v}' for k, v in KEEP_MEMORY.items())}; "
        "others: glibc as it is, under ONNX Runtime's own arena",
        "commit": _commit(),
        "load_before": load_average(),
    }


def load_average() -> float | None:
    """Processes that wanted a core in the last minute, on average."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _cpu_info(key: str) -> str | None:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return None
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == key), None)


def _caches() -> dict[str, str]:
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        found[f"L{level} {kind.lower()}"] = size
    return found


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    try:
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--tags"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
