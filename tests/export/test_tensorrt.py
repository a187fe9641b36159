"""The graphs for TensorRT: what they compute, and that TensorRT takes every operator in every type that they use."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

from flowxfer import Transferer
from flowxfer.bundle import COMBINE, DECODE, ENCODE, SAMPLE, TENSORRT, Bundle
from flowxfer.engines.ort.nvidia import Gpu
from flowxfer.engines.probes import probes
from flowxfer.errors import BundleError, InputError, ProviderError
from flowxfer.export import bundle_to_tensorrt, engines, export_bundle, to_tensorrt
from flowxfer.glow.pixels import from_pixels, to_pixels
from tests.export.graph_runner import GraphRunner
from tests.glow.random_glow import random_glow

TABLE = json.loads((Path(__file__).parent / "tensorrt_operators.json").read_text())
NAMES = {
    TensorProto.FLOAT: "FP32",
    TensorProto.FLOAT16: "FP16",
    TensorProto.BFLOAT16: "BF16",
    TensorProto.DOUBLE: "FP64",
    TensorProto.UINT8: "UINT8",
    TensorProto.INT64: "INT64",
    TensorProto.BOOL: "BOOL",
}
FACTS = {"name": "tiny", "licence": "none", "origin": "a test"}
MODELS = [{"coupling": "additive"}, {"coupling": "affine"}, {"coupling": "additive", "width": 20, "levels": 1}]


@pytest.fixture(params=MODELS, ids=lambda fields: "-".join(map(str, fields.values())))
def model(request):
    return random_glow(**request.param).float()


def refusals(path: Path) -> set[str]:
    """What TensorRT's table does not allow of a graph: operators in a type, dynamic shapes, and uint8 inside."""
    graph = onnx.shape_inference.infer_shapes(
        onnx.load(path, load_external_data=False), strict_mode=True, data_prop=True
    ).graph
    constants = {tensor.name: tensor.data_type for tensor in graph.initializer}
    ends = {value.name for value in (*graph.input, *graph.output)}
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info, *graph.output)}
    found = set()
    for node in graph.node:
        for index, name in enumerate((*node.input, *node.output)):
            kind = NAMES[constants.get(name, types.get(name))]
            shape_like = node.op_type in ("Reshape", "Pad", "Slice") and 0 < index < len(node.input)
            if shape_like and name not in constants:
                found.add(f"{node.op_type} with a computed {name}")
            elif shape_like and kind == "INT64":
                continue
            elif kind not in TABLE["operators"][node.op_type]:
                found.add(f"{node.op_type} of {kind}")
            elif kind == "UINT8" and name not in ends:
                found.add("uint8 inside")
    return found


@pytest.mark.parametrize("kind", ["eps", "raw"])
@pytest.mark.parametrize("precision", ["fp32", "mixed"])
def test_tensorrt_supports_every_operator(model, tmp_path, kind, precision):
    to_tensorrt(model, tmp_path / "bundle", **FACTS, latents=kind, precision=precision)
    graphs = {ENCODE, DECODE, COMBINE} | ({SAMPLE} if kind == "raw" else set())
    assert {path.name for path in (tmp_path / "bundle").glob("*.onnx")} == graphs
    for graph in graphs:
        assert refusals(tmp_path / "bundle" / graph) == set()
        version = onnx.load(tmp_path / "bundle" / graph, load_external_data=False).opset_import[0].version
        assert 9 <= version <= 20  # what the table was written for


def test_the_check_sees_what_other_graphs_do(tmp_path):
    """The graphs for ONNX Runtime's CPU provider are not TensorRT's: the check would say so."""
    model = random_glow().float()
    export_bundle(model, tmp_path / "exact", **FACTS)
    export_bundle(model, tmp_path / "fp32", **FACTS, precision="fp32")
    assert {"MatMul of FP64", "Transpose of UINT8", "Cast of FP64"} <= refusals(tmp_path / "exact" / ENCODE)
    assert refusals(tmp_path / "fp32" / ENCODE) == {"Transpose of UINT8", "Reshape of UINT8", "uint8 inside"}


@pytest.mark.parametrize("kind", ["eps", "raw"])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 2e-5), ("mixed", 2e-2)])
def test_the_graphs_compute_what_pytorch_does(model, tmp_path, kind, precision, tolerance):
    to_tensorrt(model, tmp_path / "bundle", **FACTS, latents=kind, precision=precision)
    runner, images = GraphRunner(tmp_path / "bundle"), probes(model.config.image_size)
    latents = runner.encode(images)
    alpha = np.full((len(images), len(latents)), -0.1)
    edited = runner.decode(latents, latents, alpha)
    with torch.no_grad():
        expected = model.double().encode(from_pixels(torch.from_numpy(images), dtype=torch.float64), kind)
        pixels = to_pixels(model.decode([0.9 * z for z in expected], kind)).numpy()
    for z, reference in zip(latents, expected, strict=True):
        assert z.dtype == np.float32
        np.testing.assert_allclose(z, reference, rtol=tolerance, atol=tolerance * 10)
    assert np.abs(edited.astype(int) - pixels).mean() < 1
    np.testing.assert_array_equal(runner.decode(latents, alpha=0 * alpha), images)


def test_nets_are_in_the_type_that_was_asked_for(tmp_path):
    """In a strongly typed network the graph's types are what runs: float16 in the couplings, float32 elsewhere."""
    to_tensorrt(random_glow().float(), tmp_path / "bundle", **FACTS, precision="mixed")
    graph = onnx.load(tmp_path / "bundle" / ENCODE, load_external_data=False).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    kinds = {node.name: types[node.input[1]] for node in graph.node if node.op_type == "Conv"}
    assert {kind for name, kind in kinds.items() if "/coupling/" in name} == {TensorProto.FLOAT16}
    assert {kind for name, kind in kinds.items() if "/coupling/" not in name} == {TensorProto.FLOAT}
    assert {types[node.input[0]] for node in graph.node if node.op_type == "MatMul"} == {TensorProto.FLOAT}


@pytest.mark.parametrize(("precision", "kind"), [("fp32", "eps"), ("exact-fp32", "raw")])
def test_a_bundle_holds_all_that_the_weights_held(model, tmp_path, kind, precision):
    export_bundle(model, tmp_path / "source", **FACTS, latents=kind, precision=precision)
    to_tensorrt(model, tmp_path / "weights", **FACTS, latents=kind)
    manifest = bundle_to_tensorrt(Bundle.open(tmp_path / "source"), tmp_path / "bundle")
    assert (manifest.precision, manifest.latents, manifest.name) == ("fp32", kind, "tiny")
    for graph in [ENCODE, DECODE] if kind == "eps" else [ENCODE, DECODE, SAMPLE]:
        a, b = (onnx.load(tmp_path / name / graph).graph for name in ("weights", "bundle"))
        assert list(a.node) == list(b.node)
        for x, y in zip(a.initializer, b.initializer, strict=True):
            x, y = (onnx.numpy_helper.to_array(tensor) for tensor in (x, y))
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6 * max(1, np.abs(x).max()))


def test_the_manifest_says_what_a_round_trip_loses(tmp_path):
    manifest = to_tensorrt(random_glow().float(), tmp_path / "bundle", **FACTS, precision="mixed")
    assert manifest == Bundle.open(tmp_path / "bundle").manifest
    assert manifest.parity["round_trip_wrong"] == manifest.parity["round_trip_error"] == 0
    assert 1e-5 < manifest.parity["latents_error"] < 0.1
    assert TENSORRT in manifest.files
    assert Transferer(tmp_path / "bundle", threads=1).self_test() == 0


def test_refusals(tmp_path):
    model = random_glow().float()
    with pytest.raises(InputError, match="expected precision fp32 or mixed, got exact-fp32: TensorRT has no float64"):
        to_tensorrt(model, tmp_path / "bundle", **FACTS, precision="exact-fp32")
    with pytest.raises(InputError, match="expected largest_batch of at least 1, got 0"):
        to_tensorrt(model, tmp_path / "bundle", **FACTS, largest_batch=0)
    to_tensorrt(model, tmp_path / "bundle", **FACTS, precision="mixed")
    with pytest.raises(BundleError, match="expected a bundle of precision fp32 or exact-fp32 .* got mixed"):
        bundle_to_tensorrt(Bundle.open(tmp_path / "bundle"), tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.fixture
def bundle(tmp_path):
    to_tensorrt(random_glow().float(), tmp_path / "bundle", **FACTS, largest_batch=4)
    return Bundle.open(tmp_path / "bundle")


class FakeTensorRT:
    """The part of TensorRT's Python interface that builds engines; it writes down what it is asked."""

    __version__ = "10.16.1"
    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
    BuilderFlag = SimpleNamespace(TF32="TF32")

    def __init__(self):
        self.said, self.built, self.parses, self.known = [], True, True, []
        self.Logger = SimpleNamespace(WARNING="warning")
        self.Logger = type("Logger", (), {"WARNING": "warning", "__init__": lambda self, level: None})
        self.num_errors = 1

    def Builder(self, logger):  # noqa: N802
        return self

    def OnnxParser(self, network, logger):  # noqa: N802
        assert network is self
        return self

    def create_network(self, flags):
        assert flags == 1 << 1
        return self

    def create_builder_config(self):
        self.cache, self.flags, self.profiles = None, {"TF32"}, []
        return self

    def clear_flag(self, flag):
        self.flags.remove(flag)

    def create_timing_cache(self, data):
        return data

    def set_timing_cache(self, cache, ignore_mismatch):
        assert ignore_mismatch is False
        self.known.append(cache)
        self.cache = cache
        return cache != b"another GPU's"

    def get_timing_cache(self):
        return SimpleNamespace(serialize=lambda: b"timings")

    def create_optimization_profile(self):
        shapes = {}
        return SimpleNamespace(shapes=shapes, set_shape=lambda name, *of: shapes.update({name: of}))

    def add_optimization_profile(self, profile):
        self.profiles.append(profile.shapes)

    def parse_from_file(self, path):
        self.graph = Path(path)
        return self.parses

    def get_error(self, index):
        return "no such operator"

    def build_serialized_network(self, network, config):
        assert not self.flags
        self.said.append(self.graph.name)
        return memoryview(b"plan of " + self.graph.name.encode()) if self.built else None


@pytest.fixture
def tensorrt(monkeypatch):
    fake = FakeTensorRT()
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    monkeypatch.setattr(engines, "first_gpu", lambda: Gpu("NVIDIA H100", "9.0", "580.65"))
    return fake


def test_engines_are_built_once(bundle, tensorrt, tmp_path, capsys):
    output = tmp_path / "engines"
    assert engines.main([str(bundle.path), "-o", str(output)]) == 0
    assert capsys.readouterr().out.split() == [str(output / "encode.plan"), str(output / "decode.plan")]
    assert tensorrt.said == [ENCODE, DECODE]
    assert (output / "decode.plan").read_bytes() == b"plan of decode.onnx"
    assert tensorrt.known == [b"", b"timings"]  # the second graph starts from the first one's timings
    assert [p["alpha"] for p in tensorrt.profiles] == [
        ([1, 2], [1, 2], [1, 2]),
        ([2, 2], [2, 2], [2, 2]),
        ([3, 2], [4, 2], [4, 2]),
    ]
    assert tensorrt.profiles[2]["z1"] == ([1, 24, 2, 2], [4, 24, 2, 2], [4, 24, 2, 2])
    engines.build_engines(bundle, output)
    assert tensorrt.said == [ENCODE, DECODE]  # what is there is kept


def test_engines_are_built_anew_where_anything_changed(bundle, tensorrt, tmp_path, monkeypatch):
    output = tmp_path / "engines"
    engines.build_engines(bundle, output)
    (output / "encode.plan").write_bytes(b"damaged")
    engines.build_engines(bundle, output)
    assert tensorrt.said == [ENCODE, DECODE, ENCODE]
    monkeypatch.setattr(engines, "first_gpu", lambda: Gpu("NVIDIA H100", "9.0", "590.1"))
    engines.build_engines(bundle, output)
    assert tensorrt.said[3:] == [ENCODE, DECODE]
    tensorrt.__version__ = "10.17.0"
    engines.build_engines(bundle, output)
    assert tensorrt.said[5:] == [ENCODE, DECODE]
    engines.build_engines(
        Bundle(bundle.path, replace(bundle.manifest, files=bundle.manifest.files | {"x": "y"})), output
    )
    assert tensorrt.said[7:] == [ENCODE, DECODE]


def test_another_gpus_timings_are_dropped(bundle, tensorrt, tmp_path):
    (tmp_path / "timing.cache").write_bytes(b"another GPU's")
    engines.build_engines(bundle, tmp_path)
    assert tensorrt.known[:2] == [b"another GPU's", b""]
    assert (tmp_path / "timing.cache").read_bytes() == b"timings"


def test_what_tensorrt_refuses_is_said(bundle, tensorrt, tmp_path, capsys):
    tensorrt.built = False
    with pytest.raises(ProviderError, match=r"expected TensorRT 10.16.1 to build an engine of .*encode.onnx; its log"):
        engines.build_engines(bundle, tmp_path)
    tensorrt.parses = False
    with pytest.raises(ProviderError, match=r"expected TensorRT 10.16.1 to parse .*encode.onnx: no such operator"):
        engines.build_engines(bundle, tmp_path)
    assert not list(tmp_path.glob("*.plan"))
    assert engines.main([str(bundle.path), "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: expected TensorRT")


def test_engines_need_a_bundle_for_tensorrt_and_tensorrt(bundle, tiny_bundle, tmp_path, monkeypatch):
    with pytest.raises(BundleError, match="expected a bundle for TensorRT in .*tiny; `flowxfer export --tensorrt`"):
        engines.build_engines(Bundle.open(tiny_bundle), tmp_path)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(ProviderError, match=r"pip install 'tensorrt-cu13>=10,<11' brings it"):
        engines.build_engines(bundle, tmp_path)


def test_the_batch_is_dynamic(bundle):
    session = onnxruntime.InferenceSession(bundle.path / DECODE)
    assert [value.shape for value in session.get_inputs()][-2:] == [["batch", 2], []]
