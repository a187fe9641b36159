"""The law of the library in every exact precision, on every engine, and what happens where it does not hold."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from flowxfer import Latents, Transferer
from flowxfer.bundle import PRECISIONS, WEIGHTS, Bundle
from flowxfer.bundle.initializers import initializers
from flowxfer.engines import round_trip
from flowxfer.engines.options import EngineOptions
from flowxfer.engines.probes import PROBES, probe, probes
from flowxfer.engines.start import start
from flowxfer.engines.torch import convolutions
from flowxfer.engines.torch import engine as torch_engine
from flowxfer.errors import BundleError, ExactnessError, InputError, LatentsError, MissingExtraError, ProviderError
from flowxfer.export import export_bundle
from flowxfer.glow.importers import import_weights
from flowxfer.glow.pixels import from_pixels
from flowxfer.models import hub
from tests.glow.random_glow import random_glow

COMBINATIONS = [
    ("onnxruntime", "exact-fp32"),
    ("onnxruntime", "exact-fp16"),
    ("torch", "exact-fp32"),
    ("torch", "exact-fp16"),
    ("torch", "exact-bf16"),
]
MODELS = {
    "affine-eps": {"coupling": "affine", "depth": 4},
    "additive-raw": {"coupling": "additive", "depth": 6},
    "one-level": {"coupling": "additive", "levels": 1, "depth": 2, "learned_prior": False},
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWXFER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    """A small random model, and where its bundles lie: exact-fp32 and exact-fp16."""
    torch.manual_seed(0)
    glow = random_glow(**{"image_size": 16, "width": 16} | MODELS[request.param]).float()
    folder = tmp_path_factory.mktemp("precisions")
    for precision in ("exact-fp32", "exact-fp16"):
        bundle(glow, request.param, folder / precision, precision)
    return glow, folder


def bundle(model, name, folder, precision="exact-fp32"):
    kind = "raw" if name.endswith("raw") else "eps"
    export_bundle(model, folder, name=name, licence="none", origin="a test", latents=kind, precision=precision)
    return folder


def loaded(folder, engine_name, precision, **options):
    return Transferer(folder, engine=engine_name, precision=precision, threads=1, **options)


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def transferer(request, model):
    engine_name, precision = request.param
    of_graphs = precision if engine_name == "onnxruntime" else "exact-fp32"
    return loaded(model[1] / of_graphs, engine_name, precision)


def pictures(size, seeds):
    return np.stack([probe(kind, size, seed) for seed in seeds for kind in PROBES])


def test_every_pixel_comes_back_however_the_batches_are_cut(transferer):
    images = pictures(transferer.size, range(3))
    together = transferer.encode(images)
    alone = [transferer.encode(image) for image in images]
    np.testing.assert_array_equal(transferer.decode(together), images)
    np.testing.assert_array_equal(np.concatenate([transferer.decode(z) for z in alone]), images)
    np.testing.assert_array_equal(np.concatenate([transferer.decode(together[i]) for i in range(len(images))]), images)
    joined = Latents([np.concatenate(level) for level in zip(*(z.levels for z in alone), strict=True)], "")
    joined.model_hash, joined.numerics = together.model_hash, together.numerics
    np.testing.assert_array_equal(transferer.decode(joined), images)


def test_alpha_zero_is_the_identity(transferer):
    images = pictures(transferer.size, [3])
    np.testing.assert_array_equal(transferer.transfer(images, images[0], images[1:], alpha=0), images)
    np.testing.assert_array_equal(transferer.mix(images, images[::-1].copy(), 0), images)
    np.testing.assert_array_equal(transferer.mix(images, images[::-1].copy(), 1), images[::-1])


def test_saved_latents_give_every_pixel_back(transferer, tmp_path):
    images = pictures(transferer.size, [5])
    transferer.encode(images).save(tmp_path / "z.safetensors")
    read = Latents.load(tmp_path / "z.safetensors")
    assert read.numerics == transferer.numerics
    assert {level.dtype for level in read.levels} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(transferer.decode(read), images)
    again = read + (read - read) * 0.5  # arithmetic keeps all 53 bits too
    assert {level.dtype for level in again.levels} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(transferer.decode(again), images)


@pytest.mark.parametrize(("precision", "bound"), [("exact-fp32", 1e-4), ("exact-fp16", 0.02), ("exact-bf16", 0.15)])
def test_pytorchs_latents_are_the_models(model, precision, bound):
    glow = copy.deepcopy(model[0])
    transferer = loaded(model[1] / "exact-fp32", "torch", precision)
    images = probes(transferer.size)
    with torch.no_grad():
        kind = transferer.manifest.latents
        expected = glow.double().encode(from_pixels(torch.from_numpy(images), dtype=torch.float64), kind)
    for z, reference in zip(transferer.encode(images).levels, expected, strict=True):
        assert np.abs(z - reference.numpy()).max() < bound * np.sqrt(np.mean(reference.numpy() ** 2))


def test_nets_really_run_in_the_precision_that_is_asked_for(model):
    """Fewer bits, larger errors: a precision that silently ran in float32 would pass every other test."""
    folder, images = model[1] / "exact-fp32", probes(16)
    exact = Transferer(folder, threads=1).encode(images).levels
    errors = []
    for precision in ("exact-fp32", "exact-fp16", "exact-bf16"):
        levels = loaded(folder, "torch", precision).encode(images).levels
        errors.append(max(np.abs(a - b).max() for a, b in zip(levels, exact, strict=True)))
    assert errors[0] * 10 < errors[1] < errors[2] / 3


def test_pytorch_does_the_arithmetic_of_the_graphs(model):
    folder = model[1] / "exact-fp32"
    a, b = Transferer(folder, threads=1), loaded(folder, "torch", "exact-fp32", batch_size=3)
    faces = pictures(16, range(2))
    alphas = tuple(np.linspace(0.2, 0.5, len(a.manifest.latent_shapes)))
    for got, expected in [
        (b.transfer(faces, faces[1], faces[2:4], alphas), a.transfer(faces, faces[1], faces[2:4], alphas)),
        (b.transfer(faces, faces[::-1].copy(), faces[2], 0.3), a.transfer(faces, faces[::-1].copy(), faces[2], 0.3)),
        (b.sweep(faces[0], faces[1], faces[2:]), a.sweep(faces[0], faces[1], faces[2:])),
        (b.mix(faces[:4], faces[4:8]), a.mix(faces[:4], faces[4:8])),
        (b.sample(5, temperature=0.1, seed=1), a.sample(5, temperature=0.1, seed=1)),
        (np.stack(list(b.frames(faces, faces[1], faces[2]))), np.stack(list(a.frames(faces, faces[1], faces[2])))),
    ]:
        difference = np.abs(got.astype(int) - expected)
        assert difference.max() <= 1  # a value on the edge of a bin may fall to either side
        assert (difference > 0).mean() < 0.01


def test_pytorch_quantises_as_the_graphs_do(tmp_path):
    folder = bundle(random_glow(image_size=16, bits=5).float(), "eps", tmp_path / "bundle")
    transferer, images = loaded(folder, "torch", "exact-bf16"), probes(16)
    coarse = transferer.decode(transferer.encode(images, quantize=True), quantize=True)
    np.testing.assert_array_equal(coarse, images // 8 * 8)


@pytest.mark.parametrize("precision", ["exact-fp16", "exact-bf16"])
def test_oracle_models_give_every_pixel_back(oracle, tmp_path, precision):
    folder = bundle(import_weights(oracle / "graph_unoptimized.pb"), "eps", tmp_path / "bundle")
    transferer = loaded(folder, "torch", precision)
    images = pictures(32, range(4))
    np.testing.assert_array_equal(transferer.decode(transferer.encode(images)), images)


def test_the_bundled_model_gives_every_pixel_back_in_bfloat16():
    transferer = loaded(hub.DEFAULT, "torch", "exact-bf16")
    images = pictures(transferer.size, range(2))
    np.testing.assert_array_equal(transferer.decode(transferer.encode(images)), images)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_convolution_does_not_see_the_batch(dtype, kernel):
    torch.manual_seed(0)
    weight, bias = torch.randn(24, 33, kernel, kernel).to(dtype), torch.randn(24).to(dtype)
    convolve = convolutions.convolution(weight, bias, 8, relu=True)
    x = torch.randn(9, 33, 8, 8).to(dtype).contiguous(memory_format=torch.channels_last)
    together = convolve(x)
    for count in (1, 2, 5):
        part = convolve(x[:count].contiguous(memory_format=torch.channels_last))
        assert torch.equal(part, together[:count])
    expected = torch.relu(torch.nn.functional.conv2d(x.double(), weight.double(), bias.double(), padding=kernel // 2))
    assert (together.double() - expected).abs().max() < 0.01 * expected.max()


def test_without_onednn_the_public_convolution_serves(monkeypatch):
    weight, bias, x = torch.randn(4, 3, 3, 3), torch.randn(4), torch.randn(2, 3, 8, 8)
    packed = convolutions.convolution(weight, bias, 8, relu=True)(x)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    plain = convolutions.convolution(weight, bias, 8, relu=True)
    assert torch.allclose(plain(x), packed, atol=1e-5)
    assert (convolutions.convolution(weight, bias, 8)(x) < 0).any()


# ---- latents belong to what computed them


def test_latents_of_another_precision_are_refused(tiny_bundle, tmp_path):
    images = probes(32)
    graphs, low = Transferer(tiny_bundle, threads=1), loaded(tiny_bundle, "torch", "exact-bf16")
    assert (graphs.numerics, low.numerics) == ("exact-fp32, ONNX Runtime on CPU", "exact-bf16, torch on cpu")
    match = "expected latents of exact-bf16, torch on cpu, got latents of exact-fp32, ONNX Runtime on CPU"
    with pytest.raises(LatentsError, match=match):
        low.decode(graphs.encode(images))
    with pytest.raises(LatentsError, match="expected latents of exact-bf16"):
        low.encode(images) - graphs.encode(images)
    graphs.encode(images).save(tmp_path / "z.safetensors")
    with pytest.raises(LatentsError, match=r"give up that promise: Latents\(z.levels, z.model_hash\)"):
        low.transfer(Latents.load(tmp_path / "z.safetensors"), images[0], images[1], 0.4)


def test_the_way_out_of_the_refusal_works(tiny_bundle):
    images = probes(32)
    z = Transferer(tiny_bundle, threads=1).encode(images)
    decoded = loaded(tiny_bundle, "torch", "exact-fp16").decode(Latents(z.levels, z.model_hash))
    assert np.abs(decoded.astype(int) - images).mean() < 1


def test_fp32_promises_nothing_and_its_latents_say_so(tmp_path):
    folder = bundle(random_glow().float(), "eps", tmp_path / "bundle", "fp32")
    transferer = Transferer(folder, threads=1)
    assert transferer.numerics == transferer.encode(probes(8)).numerics == "fp32"


# ---- a combination that does not invert is refused


class Noisy:
    """Nets whose answers are never the same twice."""

    def __init__(self, real):
        self._real = real
        self._rng = torch.Generator().manual_seed(0)

    def __call__(self, weight, bias, size, *, relu=False):
        convolve = self._real(weight, bias, size, relu=relu)

        def run(x):
            y = convolve(x)
            return y * (1 + 0.1 * torch.rand(y.shape, generator=self._rng).to(y.dtype))

        return run


def test_nets_that_differ_between_the_directions_are_refused(tiny_bundle, monkeypatch, cache):
    monkeypatch.setattr("flowxfer.engines.torch.flow.convolution", Noisy(convolutions.convolution))
    match = (
        r"expected every pixel back from tiny in exact-bf16, torch on cpu, but \d.*% of the values differ when encoded"
    )
    with pytest.raises(ExactnessError, match=match):
        loaded(tiny_bundle, "torch", "exact-bf16")
    assert not list(cache.rglob("*.json"))  # a failure is not remembered


def test_nets_that_depend_on_the_batch_are_refused(tiny_bundle, monkeypatch):
    real = convolutions.convolution

    def of_the_batch(weight, bias, size, *, relu=False):
        convolve = real(weight, bias, size, relu=relu)
        return lambda x: convolve(x) * (1 + 0.1 * len(x))

    monkeypatch.setattr("flowxfer.engines.torch.flow.convolution", of_the_batch)
    with pytest.raises(ExactnessError, match=r"one by one.*; take engine=\"onnxruntime\".*or a batch_size of 1"):
        loaded(tiny_bundle, "torch", "exact-bf16")
    assert loaded(tiny_bundle, "torch", "exact-bf16", batch_size=1).self_test() == 0


def test_a_float32_state_around_narrow_nets_is_refused(tiny_bundle, monkeypatch):
    """What the float64 state is for."""
    from flowxfer.engines.torch import flow

    product = flow._product
    monkeypatch.setattr(flow, "_product", lambda x, matrix: product(x.float(), matrix.float()).double())
    with pytest.raises(ExactnessError, match="of the values differ"):
        loaded(tiny_bundle, "torch", "exact-bf16")


def test_graphs_whose_export_lost_pixels_are_tried_and_refused(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(round_trip, "lost", lambda engine, manifest: {"encoded and decoded 8 at a time": 0.25})
    Transferer(tiny_bundle, threads=1)  # the export saw every pixel come back: not tried again
    source = Bundle.open(tiny_bundle)
    folder = tmp_path / "wild"
    folder.mkdir()
    for name in source.manifest.files:
        (folder / name).write_bytes((tiny_bundle / name).read_bytes())
    values = json.loads((tiny_bundle / "manifest.json").read_text())
    values["parity"]["round_trip_wrong"] = 0.1
    (folder / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(ExactnessError, match="25.000% of the values differ.*; take another model, for these weights"):
        Transferer(folder, threads=1)


def test_a_passed_trial_is_remembered(tiny_bundle, monkeypatch, cache):
    loaded(tiny_bundle, "torch", "exact-fp16")
    (record,) = cache.rglob("*.json")
    assert json.loads(record.read_text())["numerics"] == "exact-fp16, torch on cpu"
    monkeypatch.setattr(round_trip, "lost", None)
    loaded(tiny_bundle, "torch", "exact-fp16")
    with pytest.raises(TypeError):
        loaded(tiny_bundle, "torch", "exact-bf16")  # another combination is tried


def test_a_cache_that_cannot_be_written_costs_a_trial(tiny_bundle, cache, caplog):
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("in the way")
    with caplog.at_level("INFO", "flowxfer.engines.round_trip"):
        loaded(tiny_bundle, "torch", "exact-fp16")
    assert "the round trip will be tried again" in caplog.text


# ---- what cannot be had


def test_graphs_in_bfloat16_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"got exact-bf16, for which it has no convolution.*engine=\"torch\""):
        bundle(random_glow().float(), "eps", tmp_path / "bundle", "exact-bf16")


def test_graphs_have_the_precision_that_they_were_written_in(tiny_bundle):
    with pytest.raises(
        InputError, match=r"expected exact-fp32, which the graphs of tiny.*got exact-bf16; engine=\"torch\""
    ):
        Transferer(tiny_bundle, precision="exact-bf16")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"engine": "tvm"}, InputError, "expected the engine onnxruntime, torch or openvino, got 'tvm'"),
        (
            {"precision": "int8"},
            InputError,
            "expected a precision of fp32.*exact-bf16, got 'int8'",
        ),
        ({"precision": "fp32"}, InputError, 'expected one of exact-fp32, exact-fp16, exact-bf16 for engine="torch"'),
        ({"tf32": True}, InputError, 'expected tf32=False with engine="torch"'),
        ({"providers": ["tensorrt"]}, ProviderError, 'expected "cpu" or "cuda" for engine="torch"'),
        ({"providers": []}, ProviderError, 'expected "cpu" or "cuda"'),
        (
            {"providers": ["cpu"], "cuda_graphs": True},
            ProviderError,
            "expected a GPU that PyTorch can use for CUDA graphs",
        ),
        ({"batch_size": 0}, InputError, "expected batch_size of at least 1, got 0"),
    ],
)
def test_what_the_engine_has_not(tiny_bundle, options, error, match):
    with pytest.raises(error, match=match):
        Transferer(tiny_bundle, **{"engine": "torch"} | options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_cuda_is_refused(tiny_bundle):
    with pytest.raises(ProviderError, match="expected a GPU that PyTorch can use, but it sees none"):
        Transferer(tiny_bundle, engine="torch", providers=["cuda"])


def test_bundles_of_narrow_nets_are_no_source(tmp_path):
    folder = bundle(random_glow().float(), "eps", tmp_path / "bundle", "exact-fp16")
    with pytest.raises(BundleError, match="whose nets are rounded; start from such a bundle"):
        Transferer(folder, engine="torch", precision="exact-bf16")


def test_without_pytorch_one_sentence_names_the_extra(tiny_bundle, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("flowxfer.engines.torch")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"engine=\"torch\" needs torch.*pip install 'flowxfer\[export\]'"):
        start(Bundle.open(tiny_bundle), EngineOptions(engine="torch"))


def test_threads_are_pytorchs(tiny_bundle, monkeypatch):
    asked = []
    monkeypatch.setattr(torch_engine.torch, "set_num_threads", asked.append)
    Transferer(tiny_bundle, engine="torch", threads=3)
    assert asked == [3]


def test_a_batch_that_does_not_fit_is_halved(tiny_bundle, monkeypatch, caplog):
    transferer = loaded(tiny_bundle, "torch", "exact-bf16")
    real = transferer._session._encode

    def encode(images, *arguments):
        if len(images) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")
        return real(images, *arguments)

    monkeypatch.setattr(transferer._session, "_encode", encode)
    images = pictures(32, [0])
    np.testing.assert_array_equal(transferer.decode(transferer.encode(images)), images)
    assert "a batch of 5 does not fit the memory; going on with 2" in caplog.text


def test_every_exact_precision_is_held_to_the_law():
    exact = {precision for precision, (state, _) in PRECISIONS.items() if state == "float64"}
    assert {precision for _, precision in COMBINATIONS} == exact


def test_initialisers_are_read_without_onnx(tiny_bundle):
    code = (
        "import sys; from pathlib import Path; from flowxfer.bundle.initializers import initializers; "
        f"arrays = initializers(Path({str(tiny_bundle)!r}) / 'encode.onnx'); "
        "print(len(arrays) > 20, 'onnx' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["True", "False"]


def test_initialisers_are_those_of_onnx(tiny_bundle, tmp_path):
    import onnx

    arrays = initializers(tiny_bundle / "decode.onnx")
    expected = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(tiny_bundle / "decode.onnx").graph.initializer}
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name], strict=True)
    (tmp_path / WEIGHTS).write_bytes(b"")
    (tmp_path / "b.onnx").write_bytes(
        onnx.helper.make_model(
            onnx.helper.make_graph(
                [], "g", [], [], [onnx.helper.make_tensor("text", onnx.TensorProto.STRING, [1], ["a"])]
            )
        ).SerializeToString()
    )
    with pytest.raises(ValueError, match="the initialiser 'text' has the data type 8"):
        initializers(tmp_path / "b.onnx")
