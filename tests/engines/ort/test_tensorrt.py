"""The TensorRT provider's options, its engine cache, and what is refused, over a made-up GPU."""

from __future__ import annotations

import ctypes
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from flowxfer import Transferer
from flowxfer.bundle import COMBINE, DECODE, ENCODE, Bundle
from flowxfer.engines.batching import bucket, buckets, profile, profiles
from flowxfer.engines.ort import nvidia, tensorrt
from flowxfer.engines.ort.nvidia import Gpu
from flowxfer.engines.probes import probe
from flowxfer.errors import ProviderError
from flowxfer.export import bundle_to_tensorrt
from tests.engines.fake_gpu import CUDA, TENSORRT, FakeGpu

# The options that libonnxruntime_providers_tensorrt.so of onnxruntime-gpu 1.31.1 knows, of those used here.
KNOWN = {
    "trt_cuda_graph_enable",
    "trt_engine_cache_enable",
    "trt_engine_cache_path",
    "trt_profile_max_shapes",
    "trt_profile_min_shapes",
    "trt_profile_opt_shapes",
    "trt_timing_cache_enable",
    "trt_timing_cache_path",
}


@pytest.fixture(scope="module")
def tensorrt_bundle(tiny_bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorrt") / "tiny"
    bundle_to_tensorrt(Bundle.open(tiny_bundle), folder)
    return folder


@pytest.fixture
def faces():
    return np.stack([probe("photograph", 32, seed) for seed in range(7)])


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """An H100 with its libraries; a dict of what the engine cache depends on, to change."""
    values = {"gpu": Gpu("NVIDIA H100", "9.0", "580.65"), "tensorrt": "10.16.1"}
    monkeypatch.setattr(tensorrt, "first_gpu", lambda: values["gpu"])
    monkeypatch.setattr(tensorrt, "tensorrt_version", lambda: values["tensorrt"])
    monkeypatch.setenv("FLOWXFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    return values


@pytest.fixture
def device(monkeypatch, machine):
    fake = FakeGpu()
    monkeypatch.setitem(sys.modules, "onnxruntime", fake.module)
    monkeypatch.setattr(nvidia, "find_library", lambda name: None)
    return fake


@pytest.fixture
def expected(tensorrt_bundle, faces):
    """What the CPU makes of the same graphs; asked for before the device is there."""
    return Transferer(tensorrt_bundle, providers=["cpu"]).transfer(faces, faces[0], faces[1:6], 0.4)


@pytest.mark.parametrize("captured", [False, True])
def test_tensorrt_runs_the_graphs_and_cuda_the_sums(tensorrt_bundle, faces, expected, device, captured):
    flow = Transferer(tensorrt_bundle, providers=["tensorrt"], cuda_graphs=captured)
    np.testing.assert_array_equal(flow.transfer(faces, faces[0], faces[1:6], 0.4), expected)
    np.testing.assert_array_equal(flow.decode(flow.encode(faces)), faces)
    first = {name: next(iter(of.options)) for name, of in device.sessions.items()}
    assert first == {ENCODE: TENSORRT, DECODE: TENSORRT, COMBINE: CUDA}
    options = device.sessions[ENCODE].options[TENSORRT]
    assert set(options) == KNOWN  # and no precision among them, so the network is strongly typed
    assert options["trt_cuda_graph_enable"] == str(int(captured))
    assert options["trt_profile_max_shapes"] == "image:32x32x32x3"
    assert options["trt_profile_min_shapes"] == "image:1x32x32x3"


def test_every_dynamic_input_has_a_profile(tensorrt_bundle):
    """ONNX Runtime refuses a profile that leaves one out."""
    manifest = Bundle.open(tensorrt_bundle).manifest
    for graph in (ENCODE, DECODE):
        inputs = onnx.load(tensorrt_bundle / graph, load_external_data=False).graph.input
        dynamic = {i.name for i in inputs if any(d.dim_param for d in i.type.tensor_type.shape.dim)}
        for shapes in (profile(manifest, graph, 1, 8).smallest, profile(manifest, graph, 1, 8).largest):
            assert set(shapes) == dynamic
        for value in inputs:
            fixed = [d.dim_value for d in value.type.tensor_type.shape.dim[1:]]
            assert fixed == list(profile(manifest, graph, 1, 8).best.get(value.name, ()))[1:]


def test_profiles_serve_every_batch_once(tensorrt_bundle):
    manifest = Bundle.open(tensorrt_bundle).manifest
    ranges = [(p.smallest["image"][0], p.largest["image"][0]) for p in profiles(manifest, ENCODE, 24)]
    assert ranges == [(1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 24)]
    assert buckets(24) == (1, 2, 4, 8, 16, 24)
    assert [bucket(count, 24) for count in (1, 3, 8, 17, 24, 30)] == [1, 4, 8, 24, 24, 30]


CHANGES = {
    "gpu": lambda m, manifest: m.update(gpu=replace(m["gpu"], name="NVIDIA A100")),
    "capability": lambda m, manifest: m.update(gpu=replace(m["gpu"], compute_capability="8.0")),
    "driver": lambda m, manifest: m.update(gpu=replace(m["gpu"], driver="590.1")),
    "tensorrt": lambda m, manifest: m.update(tensorrt="10.15.1"),
    "onnxruntime": lambda m, manifest: setattr(sys.modules["onnxruntime"], "__version__", "1.32.0"),
    "model": lambda m, manifest: manifest.files.update({ENCODE: "0" * 64}),
}


def folders(manifest, largest=8):
    options = tensorrt.tensorrt_options(manifest, ENCODE, largest=largest, cuda_graphs=False)
    return Path(options["trt_engine_cache_path"]), Path(options["trt_timing_cache_path"])


@pytest.mark.parametrize("change", CHANGES)
def test_a_stale_engine_is_never_met(tensorrt_bundle, device, machine, change):
    """Whatever an engine depends on changes the folder that it is looked for in."""
    engines, timing = folders(Bundle.open(tensorrt_bundle).manifest)
    assert folders(Bundle.open(tensorrt_bundle).manifest) == (engines, timing)
    manifest = Bundle.open(tensorrt_bundle).manifest
    CHANGES[change](machine, manifest)
    others, other_timing = folders(manifest)
    assert others != engines
    assert (other_timing == timing) == (change == "model")  # timings are of kernels, whichever model has them
    key = json.loads((engines / "key.json").read_text())
    assert (key["name"], key["driver"], key["tensorrt"], key["onnxruntime"]) == (
        "NVIDIA H100",
        "580.65",
        "10.16.1",
        "1.31.1",
    )


def test_engines_of_other_batches_lie_elsewhere(tensorrt_bundle, device):
    manifest = Bundle.open(tensorrt_bundle).manifest
    assert folders(manifest, largest=8) != folders(manifest, largest=16)


def test_a_bundle_with_float64_is_refused_in_one_sentence(tiny_bundle, device):
    message = (
        "expected a bundle for TensorRT, but precision exact-fp32 needs float64, which TensorRT does not have;"
        " `flowxfer export tiny --tensorrt -o FOLDER` makes one, or use providers=['cuda']"
    )
    with pytest.raises(ProviderError) as caught:
        Transferer(tiny_bundle, providers=["tensorrt"])
    assert str(caught.value) == message


def test_other_bundles_of_float32_are_refused_too(tiny_bundle):
    manifest = replace(Bundle.open(tiny_bundle).manifest, precision="fp32")
    with pytest.raises(ProviderError, match="its graphs do more with uint8 than TensorRT can"):
        tensorrt.check_tensorrt(manifest, {"NVIDIA_TF32_OVERRIDE": "0"})


def test_tf32_has_to_be_off(tensorrt_bundle, device, monkeypatch):
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE")
    with pytest.raises(ProviderError, match="expected NVIDIA_TF32_OVERRIDE=0 in the environment"):
        Transferer(tensorrt_bundle, providers=["tensorrt"])


class Function:
    """A function of a C library: writes ``value`` where its first pointer or buffer points."""

    def __init__(self, name, *values, status=0):
        self.__name__, self.values, self.status = name, list(values), status

    def __call__(self, *arguments):
        for argument in arguments:
            target = getattr(argument, "_obj", argument)
            if self.values and isinstance(target, ctypes.c_int | ctypes.Array):
                target.value = self.values.pop(0)
                break
        return self.status


@pytest.fixture
def driver(monkeypatch):
    """The driver's two libraries, as functions by name."""
    functions = {
        "cuInit": Function("cuInit"),
        "cuDeviceGet": Function("cuDeviceGet", 0),
        "cuDeviceGetName": Function("cuDeviceGetName", b"NVIDIA H100"),
        "cuDeviceGetAttribute": Function("cuDeviceGetAttribute", 9, 0),
        "nvmlInit_v2": Function("nvmlInit_v2"),
        "nvmlSystemGetDriverVersion": Function("nvmlSystemGetDriverVersion", b"580.65.06"),
        "getInferLibVersion": lambda: 101601,
    }
    monkeypatch.setattr(ctypes, "CDLL", lambda name, mode=0: SimpleNamespace(**functions))
    nvidia.first_gpu.cache_clear()
    yield functions
    nvidia.first_gpu.cache_clear()


def test_the_gpu_says_what_it_is(driver):
    assert nvidia.first_gpu() == Gpu("NVIDIA H100", "9.0", "580.65.06")
    assert nvidia.tensorrt_version() == "10.16.1"


def test_a_driver_without_a_gpu(driver):
    driver["cuInit"].status = 100
    with pytest.raises(ProviderError, match="expected a GPU, but cuInit failed with status 100; see nvidia-smi"):
        nvidia.first_gpu()


def test_neither_driver_nor_tensorrt(monkeypatch):
    def absent(name, mode=0):
        raise OSError(f"{name}: cannot open shared object file")

    nvidia.first_gpu.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", absent)
    with pytest.raises(ProviderError, match="expected an NVIDIA driver, but libcuda.so.1: cannot open"):
        nvidia.first_gpu()
    with pytest.raises(ProviderError, match=r"pip install 'tensorrt-cu13>=10,<11' brings the one"):
        nvidia.tensorrt_version()


def test_libraries_that_pip_installed_are_loaded(monkeypatch):
    loaded = []

    def load(path, mode=0):
        loaded.append(path)
        if "plugin" in path:
            raise OSError("damaged")  # the provider will say what it lacks

    monkeypatch.setattr(nvidia, "find_library", lambda name: f"/there/lib{name}.so.10")
    monkeypatch.setattr(ctypes, "CDLL", load)
    nvidia.load_libraries(type(sys)("onnxruntime"), tensorrt=True)  # an ONNX Runtime without preload_dlls
    assert loaded == ["/there/libnvinfer.so.10", "/there/libnvinfer_plugin.so.10", "/there/libnvonnxparser.so.10"]
    nvidia.load_libraries(type(sys)("onnxruntime"), tensorrt=False)
    assert len(loaded) == 3
