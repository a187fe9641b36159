"""What the doctor finds, on machines that are made up."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from flowxfer import Transferer
from flowxfer.cli import doctor


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A healthy machine without a GPU; a dict of its packages' versions to change."""
    packages = {"flowxfer": "0.1.0", "numpy": "2.4", "pillow": "13.0", "onnxruntime": "1.31", "torch": None}
    monkeypatch.setattr(doctor, "_version", packages.get)
    monkeypatch.setattr(doctor, "_library", lambda name: None)
    monkeypatch.setattr(doctor, "_model", lambda providers, engine: iter(()))
    monkeypatch.setenv("FLOWXFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FLOWXFER_OFFLINE", raising=False)
    return packages


def found(about: str, providers=None) -> doctor.Line:
    (line,) = [line for line in doctor.examine(providers).lines if line.about == about]
    return line


def test_a_healthy_machine(machine):
    report = doctor.examine()
    assert report.healthy
    assert {line.level for line in report.lines} == {"ok"}
    assert found("numpy").text == "2.4"
    assert "CPUExecutionProvider" in found("providers").text
    assert "torch" not in {line.about for line in report.lines}


def test_both_runtimes_at_once(machine):
    machine["onnxruntime-gpu"] = "1.31"
    line = found("runtime")
    assert line.level == "problem"
    assert "both installed" in line.text
    assert "pip uninstall both, then install one" in line.text
    assert not doctor.examine().healthy


def test_no_runtime(machine, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    line = found("runtime")
    assert line.level == "problem"
    assert "pip install 'flowxfer[cpu]'" in line.text


def test_a_package_that_is_not_installed_as_one(machine):
    machine["flowxfer"] = None
    assert found("flowxfer").level == "warning"


def test_cuda_libraries(machine, monkeypatch):
    libraries = "libcudart, libcublas, libcublasLt, libcurand, libcudnn"
    assert found("cuda").text == f"{libraries} not found; not needed on a CPU"
    machine["onnxruntime-gpu"], machine["onnxruntime"] = "1.31", None
    line = found("cuda")
    assert line.level == "warning"
    assert f"{libraries} not found, so CUDA cannot start" in line.text
    monkeypatch.setattr(doctor, "_library", lambda name: f"/there/lib{name}.so")
    assert found("cuda") == doctor.Line("cuda", "ok", ", ".join(f"/there/{name}.so" for name in libraries.split(", ")))
    assert found("tensorrt").text == "/there/libnvinfer.so"


def test_libraries_of_another_major_version(machine, monkeypatch):
    """TensorRT 11, which pip takes by default, and CUDA 12 beside an ONNX Runtime for CUDA 13 and TensorRT 10."""
    machine["onnxruntime-gpu"], machine["onnxruntime"] = "1.31", None
    majors = {"cudart": 12, "cublas": 13, "cublasLt": 13, "curand": 10, "cudnn": 9, "nvinfer": 11}
    monkeypatch.setattr(doctor, "_library", lambda name: f"lib{name}.so.{majors[name]}")
    loads = "which this ONNX Runtime, built for CUDA 13.0, loads"
    assert found("cuda") == doctor.Line("cuda", "warning", f"libcudart 12, not 13, {loads}")
    way_out = "pip install 'tensorrt-cu13>=10,<11' brings it"
    assert found("tensorrt") == doctor.Line("tensorrt", "warning", f"libnvinfer 11, not 10, {loads}; {way_out}")
    majors |= {"cudart": 13, "nvinfer": 10}
    assert (found("cuda").level, found("tensorrt")) == ("ok", doctor.Line("tensorrt", "ok", "libnvinfer.so.10"))
    machine["onnxruntime-gpu"], machine["onnxruntime"], majors["nvinfer"] = None, "1.31", 11
    assert found("tensorrt").level == "ok"  # nothing here would load it


def test_libraries_that_pip_installed_are_found(monkeypatch, tmp_path):
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    for file in (
        "nvidia/cudnn/lib/libcudnn.so.9",
        "nvidia/cu13/lib/libcudart.so.13",
        "nvidia/cu13/bin/x86_64/curand64_10.dll",
        "tensorrt_libs/libnvinfer.so.10",
    ):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    assert doctor._library("cudnn") == str(tmp_path / "nvidia/cudnn/lib/libcudnn.so.9")
    assert doctor._library("cudart") == str(tmp_path / "nvidia/cu13/lib/libcudart.so.13")
    assert doctor._library("curand") == str(tmp_path / "nvidia/cu13/bin/x86_64/curand64_10.dll")
    assert doctor._library("nvinfer") == str(tmp_path / "tensorrt_libs/libnvinfer.so.10")
    assert doctor._library("cublas") is None


def test_the_cache(machine, tmp_path, monkeypatch):
    assert found("cache").text == f"{tmp_path / 'cache'}, 0.0 MiB"
    (tmp_path / "cache" / "models").mkdir(parents=True)
    (tmp_path / "cache" / "models" / "weights").write_bytes(bytes(3 << 20))
    monkeypatch.setenv("FLOWXFER_OFFLINE", "1")
    assert found("cache").text == f"{tmp_path / 'cache'}, 3.0 MiB, FLOWXFER_OFFLINE is set"
    monkeypatch.setenv("FLOWXFER_CACHE", str(tmp_path / "cache" / "models" / "weights" / "below-a-file"))
    line = found("cache")
    assert line.level == "warning"
    assert line.text.endswith("cannot be written; set FLOWXFER_CACHE to a folder that can")


@pytest.fixture
def with_model(monkeypatch, tmp_path, tiny_bundle):
    """An installation whose default model is a copy of the tiny bundle; its folder."""
    folder = shutil.copytree(tiny_bundle, tmp_path / "model")
    monkeypatch.setattr(doctor, "list_models", lambda: {doctor.DEFAULT: "bundled"})
    monkeypatch.setattr(doctor, "resolve", lambda name: folder)
    monkeypatch.setattr("flowxfer.models.hub.resolve", lambda name="", **options: folder)
    return folder


def levels() -> list[tuple[str, str]]:
    return [(line.about, line.level) for line in doctor._model(None, "onnxruntime")]


def test_the_model_is_verified_and_run(with_model, monkeypatch):
    transferer = Transferer(with_model)
    monkeypatch.setattr(doctor, "_transferer", lambda providers, engine: transferer)
    verified, providers, round_trip = doctor._model(["CUDAExecutionProvider"], "onnxruntime")
    assert verified.text.startswith("verified, ")
    assert verified.text.endswith(f" files at {with_model}")
    assert providers.text == "asked for: CUDAExecutionProvider; really active: CPUExecutionProvider"
    assert round_trip == doctor.Line("round trip", "ok", "every pixel of every probe came back")


def test_a_model_that_loses_pixels(with_model, monkeypatch):
    transferer = Transferer(with_model)
    engine = transferer._session
    decode = engine.decode
    monkeypatch.setattr(engine, "decode", lambda *given: (images ^ np.uint8([1, 0, 0]) for images in decode(*given)))
    monkeypatch.setattr(doctor, "_transferer", lambda providers, engine: transferer)
    assert levels()[-1] == ("round trip", "problem")
    *_, line = doctor._model(None, "onnxruntime")
    assert line.text.startswith("33.333% of the values do not come back")


def test_a_real_session_says_what_is_active(tiny_bundle, monkeypatch):
    monkeypatch.setattr(doctor, "DEFAULT", Path(tiny_bundle))
    assert doctor._transferer(["CPUExecutionProvider"], "onnxruntime").providers == ("CPUExecutionProvider",)


def test_a_damaged_model(with_model):
    (with_model / "weights.bin").write_bytes(b"damaged")
    assert levels() == [(doctor.DEFAULT, "problem")]
    (line,) = doctor._model(None, "onnxruntime")
    assert "weights.bin" in line.text
    assert "is damaged" in line.text


def test_another_engine_is_tried(with_model):
    _, providers, round_trip = doctor._model(["cpu"], "torch")
    assert providers.text == "asked for: cpu; really active: torch-cpu"
    assert round_trip.level == "ok"


def test_a_provider_that_cannot_be_had(with_model, monkeypatch):
    from flowxfer.errors import ProviderError

    def refuse(providers, engine):
        raise ProviderError("no GPU here")

    monkeypatch.setattr(doctor, "_transferer", refuse)
    assert levels() == [(doctor.DEFAULT, "ok"), (doctor.DEFAULT, "problem")]


def test_no_model(monkeypatch):
    monkeypatch.setattr(doctor, "list_models", dict)
    assert levels() == [(doctor.DEFAULT, "problem")]
