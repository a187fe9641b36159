"""OpenVINO behind the calls of ONNX Runtime: the same laws, agreement with it, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest

from flowxfer import Latents, Transferer
from flowxfer.bundle import ENCODE, Bundle
from flowxfer.engines import round_trip
from flowxfer.engines.openvino import PIECES, OpenVinoEngine, _Options
from flowxfer.engines.options import EngineOptions
from flowxfer.engines.probes import PROBES, probe, probes
from flowxfer.engines.start import start
from flowxfer.errors import ExactnessError, InputError, LatentsError, MissingExtraError, ProviderError
from flowxfer.export import export_bundle
from tests.glow.random_glow import random_glow

# Not importorskip(): its import would be reported to OpenVINO's makers.
pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="needs the extra openvino")

FACES = 11  # a batch of 8 and one of 3


@pytest.fixture(scope="module")
def reference():
    return Transferer(threads=1)


@pytest.fixture(scope="module", params=[1, 2])
def flow(request):
    return Transferer(engine="openvino", threads=request.param)


@pytest.fixture(scope="module")
def faces(flow):
    kinds = list(PROBES)
    return np.stack([probe(kinds[i % len(kinds)], flow.size, seed=i) for i in range(FACES)])


def test_every_pixel_comes_back_however_the_batches_are_cut(flow, faces):
    together = flow.encode(faces)
    np.testing.assert_array_equal(flow.decode(together), faces)
    np.testing.assert_array_equal(np.concatenate([flow.decode(together[i]) for i in range(FACES)]), faces)
    alone = [flow.encode(face) for face in faces]
    np.testing.assert_array_equal(np.concatenate([flow.decode(z) for z in alone]), faces)


def test_a_piece_is_its_faces_one_by_one(flow, faces):
    for level, *alone in zip(flow.encode(faces).levels, *(flow.encode(face).levels for face in faces), strict=True):
        np.testing.assert_allclose(level, np.concatenate(alone), atol=1e-3)
    edit = [flow.transfer(face, faces[1], faces[2:4], 0.4) for face in faces]
    np.testing.assert_array_equal(flow.transfer(faces, faces[1], faces[2:4], 0.4), np.concatenate(edit))


def test_alpha_zero_is_the_identity(flow, faces):
    np.testing.assert_array_equal(flow.transfer(faces, faces[0], faces[1:], alpha=0), faces)
    np.testing.assert_array_equal(flow.mix(faces, faces[::-1].copy(), 0), faces)
    np.testing.assert_array_equal(flow.mix(faces, faces[::-1].copy(), 1), faces[::-1])


def test_latents_are_those_of_onnx_runtime(flow, reference, faces):
    for got, expected in zip(flow.encode(faces).levels, reference.encode(faces).levels, strict=True):
        assert got.dtype == np.float64
        assert 0 < np.abs(got - expected).max() < 1e-4 * np.sqrt(np.mean(expected**2))


def test_edits_are_those_of_onnx_runtime(flow, reference, faces):
    alphas = tuple(np.linspace(0.2, 0.5, len(flow.manifest.latent_shapes)))
    for edit in (
        lambda flow: flow.transfer(faces, faces[1], faces[2:4], alphas),
        lambda flow: flow.transfer(faces[:3], faces[3:6], faces[2], 0.3),
        lambda flow: flow.sweep(faces[0], faces[1], faces[2:]),
        lambda flow: flow.mix(faces[:4], faces[4:8]),
        lambda flow: flow.sample(5, temperature=0.1, seed=1),
        lambda flow: np.stack(list(flow.frames(faces, faces[1], faces[2]))),
    ):
        got, expected = edit(flow), edit(reference)
        difference = np.abs(got.astype(int) - expected)
        assert difference.max() <= 1  # a value on the edge of a bin may fall to either side
        assert (difference > 0).mean() < 0.01


def test_it_quantises_as_the_graphs_do(flow, faces):
    coarse = flow.decode(flow.encode(faces, quantize=True), quantize=True)
    np.testing.assert_array_equal(coarse, faces // 8 * 8)


def test_threads_share_one(flow, faces):
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: flow.decode(flow.encode(faces[: i + 1])), range(8)))
    for i, result in enumerate(results):
        np.testing.assert_array_equal(result, faces[: i + 1])


def test_latents_belong_to_it(flow, reference, faces, tmp_path):
    assert flow.numerics == "exact-fp32 in float32, OpenVINO on CPU"
    assert flow.providers == ("openvino-cpu",)
    with pytest.raises(
        LatentsError, match="expected latents of exact-fp32 in float32, OpenVINO on CPU, got latents of"
    ):
        flow.decode(reference.encode(faces[0]))
    flow.encode(faces).save(tmp_path / "z.safetensors")
    np.testing.assert_array_equal(flow.decode(Latents.load(tmp_path / "z.safetensors")), faces)


# ---- how it is run


def test_graphs_run_in_float32_in_streams(tiny_bundle):
    engine = start(Bundle.open(tiny_bundle), EngineOptions(engine="openvino", threads=2, batch_size=12))
    engine.encode(np.zeros((7, 32, 32, 3), np.uint8), 1)
    compiled = engine._encode._compiled
    engine.encode(np.zeros((8, 32, 32, 3), np.uint8), 1)
    assert sorted(compiled) == [1, 2, 4]
    for size, streams in ((1, 1), (2, 2), (4, 2)):  # no more streams than threads
        assert compiled[size].get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
        assert compiled[size].get_property("INFERENCE_NUM_THREADS") == 2
        assert compiled[size].get_property("NUM_STREAMS") == streams
        assert not compiled[size].get_property("ENABLE_CPU_PINNING")


@pytest.mark.parametrize(
    ("threads", "batch_size", "count", "sizes"),
    [
        (1, 8, 7, [4, 2, 1]),
        (2, 8, 8, [4, 4]),
        (2, 8, 7, [2, 2, 1, 1, 1]),  # one piece of 4 would leave a thread without work
        (4, 8, 8, [4, 4]),  # two streams of two threads
        (4, 16, 8, [2, 2, 2, 2]),
        (2, 3, 3, [2, 1]),
    ],
)
def test_pieces_keep_all_streams_busy(threads, batch_size, count, sizes):
    cuts = [cut for _, cuts in _Options(threads, PIECES, batch_size).cuts(count) for cut in cuts]
    assert [cut.stop - cut.start for cut in cuts] == sizes
    assert [i for cut in cuts for i in range(cut.start, cut.stop)] == list(range(count))


def test_large_faces_run_one_by_one(tmp_path):
    folder = bundle(random_glow(image_size=128, levels=1, depth=1, width=2), tmp_path / "large")
    engine = start(Bundle.open(folder), EngineOptions(engine="openvino", threads=1))
    engine.encode(np.zeros((4, 128, 128, 3), np.uint8), 1)
    assert list(engine._encode._compiled) == [1]


def test_a_batch_that_does_not_fit_is_halved(tiny_bundle, monkeypatch, caplog):
    flow = Transferer(tiny_bundle, engine="openvino", threads=1)
    real = flow._session._encode.run

    def run(rows, constants):
        if len(rows["image"]) > 2:
            raise RuntimeError("std::bad_alloc")
        return real(rows, constants)

    monkeypatch.setattr(flow._session._encode, "run", run)
    images = probes(32)
    np.testing.assert_array_equal(flow.decode(flow.encode(images)), images)
    assert "a batch of 5 does not fit the memory; going on with 2" in caplog.text


def test_nothing_is_told_to_anybody(tmp_path, tiny_bundle):
    code = (
        "import sys; from flowxfer import Transferer; "
        f"Transferer({str(tiny_bundle)!r}, engine='openvino', threads=1); "
        "print('openvino' in sys.modules, 'openvino_telemetry' in sys.modules)"
    )
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    surroundings = kept | {"HOME": str(tmp_path), "FLOWXFER_CACHE": str(tmp_path / "cache")}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=surroundings)
    assert result.stdout.split() == ["True", "False"]
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]  # with telemetry there is a folder "intel"


# ---- a state in float32 is no exact one: what has no room for its errors is refused


def test_a_model_that_float32_brings_near_the_edge_is_refused():
    with pytest.raises(
        ExactnessError, match=r"OpenVINO on CPU, but \d.*% of the values differ when encoded near the edges"
    ):
        Transferer("synthetic-64-samples", engine="openvino", threads=1)


def test_the_trial_at_the_edge_is_what_refuses_it(monkeypatch):
    """Pictures whose colours are in the middle of their bins come back, though not by much."""
    monkeypatch.setattr(round_trip, "_lost_at_the_edge", lambda engine, manifest: 0.0)
    monkeypatch.setattr(round_trip, "_remember", lambda record, combination: None)
    assert Transferer("synthetic-64-samples", engine="openvino", threads=1).self_test() == 0


def test_float64_has_all_the_room(monkeypatch, tiny_bundle):
    monkeypatch.setattr(round_trip, "_known", lambda engine, manifest: False)
    for model in (tiny_bundle, "synthetic-64-samples"):
        Transferer(model, threads=1)


@pytest.mark.parametrize("fields", [{"coupling": "affine"}, {"coupling": "additive", "learned_prior": False}])
def test_fp32_promises_nothing_and_is_not_tried(tmp_path, monkeypatch, fields):
    monkeypatch.setattr(round_trip, "lost", None)
    folder = bundle(random_glow(image_size=16, **fields), tmp_path / "bundle", "fp32")
    flow, reference = Transferer(folder, engine="openvino", threads=1), Transferer(folder, threads=1)
    assert flow.numerics == "fp32"
    images = probes(16)
    for got, expected in zip(flow.encode(images).levels, reference.encode(images).levels, strict=True):
        assert got.dtype == np.float32
        assert np.abs(got - expected).max() < 1e-4 * np.sqrt(np.mean(expected**2))
    assert np.abs(flow.decode(reference.encode(images)).astype(int) - images).max() <= 1
    difference = flow.sample(3, temperature=0.5, seed=0).astype(int) - reference.sample(3, temperature=0.5, seed=0)
    assert np.abs(difference).max() <= 1


def bundle(model, folder, precision="exact-fp32"):
    export_bundle(model.float(), folder, name=folder.name, licence="none", origin="a test", precision=precision)
    return folder


# ---- what cannot be had


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"precision": "exact-bf16"}, InputError, 'expected exact-fp32, which the graphs of tiny.*; engine="torch"'),
        ({"tf32": True}, InputError, 'expected tf32=False with engine="openvino", for only ONNX Runtime'),
        ({"cuda_graphs": True}, InputError, 'expected no CUDA graphs with engine="openvino"'),
        ({"providers": ["cuda"]}, ProviderError, r'expected providers=\["cpu"\], or none, for engine="openvino", got'),
        ({"providers": []}, ProviderError, r"or none, for engine=\"openvino\", got \[\]"),
        ({"threads": 0}, InputError, "expected threads of at least 1, got 0"),
    ],
)
def test_what_the_engine_has_not(tiny_bundle, options, error, match):
    with pytest.raises(error, match=match):
        Transferer(tiny_bundle, **{"engine": "openvino"} | options)


def test_the_cpu_may_be_named(tiny_bundle):
    assert Transferer(tiny_bundle, engine="openvino", providers="cpu", threads=1).providers == ("openvino-cpu",)


def test_graphs_that_it_does_not_read(tiny_bundle, tmp_path):
    (tmp_path / ENCODE).write_bytes(b"no graph")
    with pytest.raises(ProviderError, match=f"expected OpenVINO to read {tmp_path / ENCODE}: "):
        OpenVinoEngine(Bundle(tmp_path, Bundle.open(tiny_bundle).manifest))


def test_graphs_that_it_does_not_compile(tiny_bundle, monkeypatch):
    class Core:
        def compile_model(self, *_):
            raise RuntimeError("an operation\nis not known")

    engine = start(Bundle.open(tiny_bundle), EngineOptions(engine="openvino", threads=1))
    monkeypatch.setattr(engine._encode, "_core", Core())
    with pytest.raises(ProviderError, match=f"expected OpenVINO to compile .*{ENCODE}: an operation is not known"):
        engine.encode(probes(32), 1)


def test_without_openvino_one_sentence_names_the_extra(tiny_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(
        MissingExtraError, match=r"engine=\"openvino\" needs openvino.*pip install 'flowxfer\[openvino\]'"
    ):
        Transferer(tiny_bundle, engine="openvino")
