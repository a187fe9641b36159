"""The Triton repository: configurations that Triton's own schema reads, and graphs that agree with them."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from google.protobuf import text_format
from typer.testing import CliRunner

from flowxfer import Transferer
from flowxfer.bundle import Bundle
from flowxfer.cli import app
from flowxfer.engines.probes import probe
from flowxfer.errors import InputError
from flowxfer.export import bundle_to_tensorrt, to_triton
from tests.export.triton_schema import ENUMS, model_config

MODELS = ("decode", "encode", "subtract", "transfer")
ONNX_TYPES = {"tensor(uint8)": "TYPE_UINT8", "tensor(float)": "TYPE_FP32", "tensor(double)": "TYPE_FP64"}

# What Triton's ONNX Runtime backend (src/onnxruntime.cc, commit fd3e8) takes for TensorRT, of what is written here.
TENSORRT_PARAMETERS = {
    "trt_engine_cache_enable",
    "trt_engine_cache_path",
    "trt_profile_max_shapes",
    "trt_profile_min_shapes",
    "trt_profile_opt_shapes",
}


@pytest.fixture(params=["exact", "tensorrt"])
def bundle(request, tiny_bundle, tmp_path):
    if request.param == "tensorrt":
        bundle_to_tensorrt(Bundle.open(tiny_bundle), tmp_path / "tensorrt")
        return Bundle.open(tmp_path / "tensorrt")
    return Bundle.open(tiny_bundle)


@pytest.fixture
def repository(bundle, tmp_path):
    return to_triton(bundle, tmp_path / "repository", largest_batch=8)


def config(repository, model):
    text = (repository / model / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config()())


def label(number):
    return {value: name for name, value in ENUMS["DataType"].items()}[number]


def test_the_configurations_say_what_the_graphs_are(repository):
    assert sorted(path.name for path in repository.iterdir() if path.is_dir()) == list(MODELS)
    for model in ("encode", "decode", "subtract"):
        said = config(repository, model)
        assert (said.name, said.backend, said.max_batch_size) == (model, "onnxruntime", 8)
        assert said.HasField("dynamic_batching")
        assert [(group.kind, group.count) for group in said.instance_group] == [(0, 1)]
        session = onnxruntime.InferenceSession(repository / model / "1" / "model.onnx")
        for values, actual in ((said.input, session.get_inputs()), (said.output, session.get_outputs())):
            assert [v.name for v in values] == [a.name for a in actual]
            assert [label(v.data_type) for v in values] == [ONNX_TYPES[a.type] for a in actual]
            for value, dimensions in zip(values, [a.shape for a in actual], strict=True):
                assert isinstance(dimensions[0], str)  # a batch, so that requests can be put together
                assert len(value.dims) == len(dimensions) - 1
                assert all(isinstance(b, str) or a == b for a, b in zip(value.dims, dimensions[1:], strict=True))


def test_the_ensemble_transfers(repository, bundle):
    """Run as Triton would: step by step, tensors by their names."""
    faces = np.stack([probe("photograph", 32, seed) for seed in range(4)])
    said = config(repository, "transfer")
    assert (said.platform, said.max_batch_size) == ("ensemble", 8)
    assert [v.name for v in said.input] == ["target", "expression", "neutral", "alpha"]
    dtype = bundle.manifest.latents_dtype
    tensors = {"target": faces[:2], "expression": faces[2:3].repeat(2, 0), "neutral": faces[3:].repeat(2, 0)}
    tensors["alpha"] = np.full((2, 3), 0.4, dtype)
    for value in said.input:
        assert tensors[value.name].shape[1:] == tuple(value.dims)
    for step in said.ensemble_scheduling.step:
        assert step.model_version == -1
        session = onnxruntime.InferenceSession(repository / step.model_name / "1" / "model.onnx")
        outputs = {pair.key: pair.value for pair in step.output_map}
        assert set(outputs) == {value.name for value in session.get_outputs()}
        results = session.run(list(outputs), {pair.key: tensors[pair.value] for pair in step.input_map})
        tensors |= dict(zip(outputs.values(), results, strict=True))
    expected = Transferer(bundle.path, threads=1).transfer(faces[:2], faces[2], faces[3], 0.4)
    off = np.abs(tensors["image"].astype(int) - expected)
    assert off.max() <= 1  # sums in another order, at the edge of a bin
    assert (off > 0).mean() < 0.01


def test_what_each_kind_of_bundle_asks_for(tiny_bundle, tmp_path):
    bundle = Bundle.open(tiny_bundle)
    (cuda,) = config(
        to_triton(bundle, tmp_path / "cuda"), "encode"
    ).optimization.execution_accelerators.gpu_execution_accelerator
    assert (cuda.name, {p.key: p.value for p in cuda.parameters}) == ("cuda", {"use_tf32": "0"})
    (search,) = config(tmp_path / "cuda", "decode").parameters  # the backend reads this one from here alone
    assert (search.key, search.value.string_value) == ("cudnn_conv_algo_search", "1")
    bundle_to_tensorrt(bundle, tmp_path / "bundle")
    repository = to_triton(Bundle.open(tmp_path / "bundle"), tmp_path / "tensorrt")
    (tensorrt,) = config(repository, "decode").optimization.execution_accelerators.gpu_execution_accelerator
    assert tensorrt.name == "tensorrt"
    assert {p.key for p in tensorrt.parameters} == TENSORRT_PARAMETERS
    shapes = {p.key: p.value for p in tensorrt.parameters}
    assert shapes["trt_profile_max_shapes"].endswith("alpha:32x3")
    assert "NVIDIA_TF32_OVERRIDE=0" in (repository / "README.md").read_text()
    assert "never run" in (repository / "README.md").read_text()


def test_a_field_that_triton_has_not_is_seen():
    with pytest.raises(text_format.ParseError, match="batching"):
        text_format.Parse("batching { }", model_config()())


def test_what_stands_in_the_way_stays(tiny_bundle, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="expected a new folder for the repository, but .*mine exists"):
        to_triton(Bundle.open(tiny_bundle), tmp_path / "mine")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_the_command_line_converts_bundles(tiny_bundle, tmp_path):
    run = CliRunner().invoke
    converted = run(app, ["export", str(tiny_bundle), "--tensorrt", "--triton", "-o", str(tmp_path / "repository")])
    assert converted.exit_code == 0, converted.output
    assert (tmp_path / "repository" / "encode" / "1" / "weights.bin").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["repository"]  # the bundle between is gone
    plain = run(app, ["export", str(tiny_bundle), "-o", str(tmp_path / "bundle")])
    assert plain.exit_code != 0
