"""A model repository for NVIDIA's Triton Inference Server, written from a bundle.

Four models: ``encode`` and ``decode`` are the bundle's graphs, ``subtract`` takes the neutral latents from those with
the expression, and ``transfer`` is the ensemble of them: one request carries three pictures and alpha, and the answer
is a picture. Every input has a batch dimension, so that Triton can put requests together. The fields are those of
``model_config.proto`` in triton-inference-server/common.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, ValueInfoProto, helper, numpy_helper

from flowxfer.bundle import DECODE, ENCODE, TENSORRT, WEIGHTS, Bundle, Manifest
from flowxfer.engines.batching import profile
from flowxfer.engines.ort.tensorrt import profile_options

from .builder import IR_VERSION, OPSET
from .staging import new_folder
from .to_tensorrt import LARGEST_BATCH
from .triton_readme import readme

_TYPES = {"float32": "TYPE_FP32", "float64": "TYPE_FP64", "uint8": "TYPE_UINT8"}
_DELAY_US = 1000  # how long a request waits for others to fill the batch
_ENGINES = "/tmp/flowxfer-engines"  # in the container, so they go with it and are never met by another GPU or version

__all__ = ["to_triton"]


@dataclass(frozen=True)
class _Value:
    """An input or output of a model: its name, its NumPy dtype and its shape without the batch."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def text(self) -> str:
        """As a message of model_config.proto."""
        dims = ", ".join(map(str, self.shape))
        return f'{{ name: "{self.name}" data_type: {_TYPES[self.dtype]} dims: [ {dims} ] }}'


def to_triton(bundle: Bundle, folder: str | os.PathLike[str], *, largest_batch: int = LARGEST_BATCH) -> Path:
    """Write a bundle as a model repository. No Triton is needed for it, and none was at hand to run it.

    A bundle for TensorRT asks for TensorRT, any other for the CUDA provider, or the CPU where there is no GPU. Each
    direction has its own copy of the weights: ONNX wants them in the graph's folder, and as no link.

    Args:
        bundle: a verified bundle.
        folder: the repository's folder, which must not exist.
        largest_batch: samples that a model is to take at once.

    Returns:
        The repository's folder.

    Raises:
        InputError: something stands at ``folder``.
    """
    manifest = bundle.manifest
    with new_folder(folder, "repository") as repository:
        for name, graph in (("encode", ENCODE), ("decode", DECODE)):
            model = _of_width_one(onnx.load(bundle.path / graph, load_external_data=False))
            inputs, outputs = _ends(manifest, graph)
            options = _tensorrt(manifest, graph, largest_batch) if TENSORRT in manifest.files else _cuda()
            _write(repository / name, model, _config(name, largest_batch, inputs, outputs) + options)
            shutil.copyfile(bundle.path / WEIGHTS, repository / name / "1" / WEIGHTS)
        _write(repository / "subtract", _subtract(manifest), _subtraction(manifest, largest_batch))
        (repository / "transfer" / "1").mkdir(parents=True)  # Triton wants a version, though an ensemble has no file
        (repository / "transfer" / "config.pbtxt").write_text(_ensemble(manifest, largest_batch), encoding="utf-8")
        (repository / "README.md").write_text(readme(manifest, largest_batch), encoding="utf-8")
    return Path(folder)


def _of_width_one(model: ModelProto) -> ModelProto:
    """The graph for bins of one grey level, without that input, which has no batch dimension."""
    (width,) = [value for value in model.graph.input if value.name == "bin_width"]
    model.graph.input.remove(width)
    model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "bin_width"))
    return model


def _latents(manifest: Manifest, prefix: str) -> list[_Value]:
    return [_Value(f"{prefix}{i}", manifest.latents_dtype, shape) for i, shape in enumerate(manifest.latent_shapes)]


def _image(manifest: Manifest, name: str) -> _Value:
    return _Value(name, "uint8", (manifest.image_size, manifest.image_size, 3))


def _alpha(manifest: Manifest) -> _Value:
    return _Value("alpha", manifest.latents_dtype, (len(manifest.latent_shapes),))


def _ends(manifest: Manifest, graph: str) -> tuple[list[_Value], list[_Value]]:
    if graph == ENCODE:
        return [_image(manifest, "image")], _latents(manifest, "z")
    inputs = [*_latents(manifest, "z"), *_latents(manifest, "direction"), _alpha(manifest)]
    return inputs, [_image(manifest, "image")]


def _subtract(manifest: Manifest) -> ModelProto:
    """The graph of the expression vector."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(manifest.latents_dtype))
    values: dict[str, list[ValueInfoProto]] = {
        name: [
            helper.make_tensor_value_info(f"{name}{i}", element, ("batch", *shape))
            for i, shape in enumerate(manifest.latent_shapes)
        ]
        for name in ("expression", "neutral", "direction")
    }
    nodes = [
        helper.make_node("Sub", [f"expression{i}", f"neutral{i}"], [f"direction{i}"])
        for i in range(len(manifest.latent_shapes))
    ]
    graph = helper.make_graph(nodes, "subtract", values["expression"] + values["neutral"], values["direction"])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _config(name: str, largest_batch: int, inputs: Sequence[_Value], outputs: Sequence[_Value]) -> str:
    lines = [
        f'name: "{name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {largest_batch}",
        *_listed("input", inputs),
        *_listed("output", outputs),
        f"dynamic_batching {{ max_queue_delay_microseconds: {_DELAY_US} }}",
        "instance_group [ { kind: KIND_AUTO count: 1 } ]",
    ]
    return "\n".join(lines) + "\n"


def _cuda() -> str:
    """What keeps a round trip exact: no TF32, and convolutions by heuristics (1), not by a race."""
    search = 'parameters { key: "cudnn_conv_algo_search" value: { string_value: "1" } }\n'
    return search + _accelerator("cuda", {"use_tf32": "0"})


def _tensorrt(manifest: Manifest, graph: str, largest_batch: int) -> str:
    options = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": f"{_ENGINES}/{Path(graph).stem}"}
    return _accelerator("tensorrt", options | profile_options(profile(manifest, graph, 1, largest_batch)))


def _accelerator(name: str, parameters: dict[str, str]) -> str:
    lines = [f'      parameters {{ key: "{key}" value: "{value}" }}' for key, value in parameters.items()]
    return "\n".join(
        [
            "optimization { execution_accelerators {",
            f'  gpu_execution_accelerator : [ {{ name: "{name}"',
            *lines,
            "  } ]",
            "} }",
            "",
        ]
    )


def _subtraction(manifest: Manifest, largest_batch: int) -> str:
    inputs = [*_latents(manifest, "expression"), *_latents(manifest, "neutral")]
    return _config("subtract", largest_batch, inputs, _latents(manifest, "direction"))


def _ensemble(manifest: Manifest, largest_batch: int) -> str:
    faces = ("target", "expression", "neutral")
    levels = range(len(manifest.latent_shapes))
    steps = [_step("encode", {"image": face}, {f"z{i}": f"{face}{i}" for i in levels}) for face in faces]
    halves = {f"{face}{i}": f"{face}{i}" for face in faces[1:] for i in levels}
    directions = {f"direction{i}": f"direction{i}" for i in levels}
    steps.append(_step("subtract", halves, directions))
    latents = {f"z{i}": f"target{i}" for i in levels} | directions | {"alpha": "alpha"}
    steps.append(_step("decode", latents, {"image": "image"}))
    lines = [
        'name: "transfer"',
        'platform: "ensemble"',
        f"max_batch_size: {largest_batch}",
        *_listed("input", [*(_image(manifest, face) for face in faces), _alpha(manifest)]),
        *_listed("output", [_image(manifest, "image")]),
        "ensemble_scheduling { step [",
        ",\n".join(steps),
        "] }",
    ]
    return "\n".join(lines) + "\n"


def _step(model: str, inputs: dict[str, str], outputs: dict[str, str]) -> str:
    maps = [f'    {kind} {{ key: "{k}" value: "{v}" }}' for kind, of in _maps(inputs, outputs) for k, v in of.items()]
    return "\n".join([f'  {{ model_name: "{model}" model_version: -1', *maps, "  }"])


def _maps(inputs: dict[str, str], outputs: dict[str, str]) -> list[tuple[str, dict[str, str]]]:
    return [("input_map", inputs), ("output_map", outputs)]


def _listed(kind: str, values: Sequence[_Value]) -> list[str]:
    return [f"{kind} [", ",\n".join(f"  {value.text()}" for value in values), "]"]


def _write(folder: Path, model: ModelProto, config: str) -> None:
    (folder / "1").mkdir(parents=True)
    onnx.save(model, folder / "1" / "model.onnx")
    (folder / "config.pbtxt").write_text(config, encoding="utf-8")
