"""The CUDA path, driven over a made-up GPU: what is copied, what is captured, and which options are asked for."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from flowxfer import Transferer
from flowxfer.bundle import COMBINE, DECODE, ENCODE, Bundle
from flowxfer.engines.options import EngineOptions, tf32_of
from flowxfer.engines.probes import probe
from flowxfer.errors import InputError, ProviderError
from tests.engines.fake_gpu import CUDA, FakeGpu

LEVELS = 3


@pytest.fixture
def faces():
    return np.stack([probe("photograph", 32, seed) for seed in range(7)])


@pytest.fixture
def device(monkeypatch):
    fake = FakeGpu()
    monkeypatch.setitem(sys.modules, "onnxruntime", fake.module)
    return fake


@pytest.fixture(params=[False, True], ids=["launched", "captured"])
def captured(request):
    return request.param


@pytest.fixture
def expected(tiny_bundle, faces):
    cpu = Transferer(tiny_bundle, threads=1)
    return {
        "transfer": cpu.transfer(faces, faces[0], faces[1:6], 0.4),
        "sweep": cpu.sweep(faces[0], faces[1], faces[2:5], [0.1, 0.4, 0.7]),
        "mix": cpu.mix(faces[:3], faces[3:6]),
    }


def test_the_device_computes_what_the_cpu_does(tiny_bundle, faces, expected, device, captured):
    flow = Transferer(tiny_bundle, providers=["cuda"], cuda_graphs=captured)
    for _ in range(2):  # the second time everything is replayed
        np.testing.assert_array_equal(flow.transfer(faces, faces[0], faces[1:6], 0.4), expected["transfer"])
        np.testing.assert_array_equal(flow.sweep(faces[0], faces[1], faces[2:5], [0.1, 0.4, 0.7]), expected["sweep"])
        np.testing.assert_array_equal(flow.mix(faces[:3], faces[3:6]), expected["mix"])
    assert flow.self_test() == 0


def test_only_pictures_come_back(tiny_bundle, faces, device, captured):
    """Nothing visits the host between encode and decode: what comes back is as many bytes as there are pixels."""
    flow = Transferer(tiny_bundle, providers=["cuda"], batch_size=4, cuda_graphs=captured)
    device.counted()
    latents = flow.encode(faces)
    neutral = flow.mean(flow.encode(faces[1:4]))
    direction = flow.direction(faces[:1], neutral)
    assert device.counted().get("to host", 0) == 0
    pixels = flow.transfer(latents, faces[:1], neutral, 0.4)
    assert device.bytes_to_host == 8 * pixels[0].nbytes  # 7 faces, padded to 4 + 4
    assert device.counted()["to host"] == 2
    assert len(direction) == 1
    latents.levels  # noqa: B018
    assert device.counted()["to host"] == 2 * LEVELS  # and the counter would have seen them


@pytest.mark.parametrize(
    ("captured", "encode", "decode"),
    [
        (False, {"to device": 2}, {"to device": 2, "to host": 1}),
        (
            True,
            {"to device": 2, "on device": LEVELS},
            {"to device": 2, "on device": 2 * LEVELS, "to host": 1},
        ),
    ],
)
def test_copies_per_call(tiny_bundle, faces, device, captured, encode, decode):
    """A picture and a number in, a picture out; a captured graph has its latents copied from buffer to buffer."""
    flow = Transferer(tiny_bundle, providers=["cuda"], cuda_graphs=captured)
    latents = flow.encode(faces[:4])
    flow.decode(latents)  # what is captured is captured now
    device.counted()
    flow.encode(faces[:4])
    assert device.counted() == encode
    flow.decode(latents)
    assert device.counted() == decode


def test_one_graph_for_each_combination_of_shapes(tiny_bundle, faces, device):
    flow = Transferer(tiny_bundle, providers=["cuda"], cuda_graphs=True)
    for count in (1, 3, 4, 2, 3, 1):  # buckets 1, 4, 4, 2, 4, 1
        flow.decode(flow.encode(faces[:count]))
    sessions = device.sessions
    assert sorted(of.inputs["image"].shape()[0] for of in sessions[ENCODE].captured.values()) == [1, 2, 4]
    assert len(sessions[DECODE].captured) == 3
    flow.sweep(faces[0], faces[1], faces[2], [0.1, 0.2, 0.3, 0.4])  # one target, four alphas
    assert len(sessions[DECODE].captured) == 4
    assert not sessions[COMBINE].captured


def test_earlier_latents_survive_later_ones(tiny_bundle, faces, device):
    """A replay writes to the same addresses again; what it gave before has to lie elsewhere."""
    flow = Transferer(tiny_bundle, providers=["cuda"], cuda_graphs=True)
    first, second = flow.encode(faces[:2]), flow.encode(faces[2:4])
    np.testing.assert_array_equal(flow.decode(first), faces[:2])
    np.testing.assert_array_equal(flow.decode(second), faces[2:4])


def test_threads_share_a_captured_graph(tiny_bundle, faces, device):
    flow = Transferer(tiny_bundle, providers=["cuda"], cuda_graphs=True)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda face: flow.decode(flow.encode(face))[0], [*faces, *faces]))
    np.testing.assert_array_equal(results, [*faces, *faces])


def test_options_keep_a_round_trip_exact(tiny_bundle, device):
    Transferer(tiny_bundle, providers=["cuda"])
    for graph in (ENCODE, DECODE, COMBINE):
        session = device.sessions[graph]
        assert session.options[CUDA] == {
            "use_tf32": "0",
            "cudnn_conv_algo_search": "HEURISTIC",
            "enable_cuda_graph": "0",
        }
        assert session.settings.use_deterministic_compute
    Transferer(tiny_bundle, providers=["cuda"], tf32=True, cuda_graphs=True)
    assert device.sessions[ENCODE].options[CUDA]["use_tf32"] == "1"
    assert [device.sessions[g].options[CUDA]["enable_cuda_graph"] for g in (ENCODE, DECODE, COMBINE)] == ["1", "1", "0"]


def test_what_pip_installed_is_loaded_without_a_word(tiny_bundle, device, capsys):
    Transferer(tiny_bundle, providers=["cuda"])
    assert device.preloaded == 3
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("precision", ["exact-fp16", "mixed", "fp32"])
def test_tf32_would_spoil_a_state_or_change_nothing(tiny_bundle, precision):
    manifest = replace(Bundle.open(tiny_bundle).manifest, precision=precision)
    with pytest.raises(InputError, match=f"exact-fp32 for tf32=True.*, got {precision}; .*--precision exact-fp32"):
        EngineOptions(tf32=True).check(manifest)
    EngineOptions(tf32=True).check(replace(manifest, precision="exact-fp32"))


@pytest.mark.parametrize(
    ("precision", "variant", "message"),
    [
        (
            "exact-fp32",
            "mixed",
            "no variant for a model of precision exact-fp32, whose nets compute in float32, got",
        ),
        ("exact-fp16", "fp32", "no variant for a model of precision exact-fp16, whose nets compute in float16, got"),
        ("mixed", "tf32", "expected no variant for a model of precision mixed, whose nets compute in float16"),
        ("fp32", "int8", "expected a variant of fp32, tf32, mixed, got 'int8'"),
    ],
)
def test_variants_that_say_something_else_than_the_model(tiny_bundle, precision, variant, message):
    manifest = replace(Bundle.open(tiny_bundle).manifest, precision=precision)
    with pytest.raises(InputError, match=message):
        tf32_of(variant, manifest)


@pytest.mark.parametrize(
    ("precision", "variant"),
    [("exact-fp32", "fp32"), ("exact-fp32", "tf32"), ("fp32", "fp32"), ("mixed", "mixed"), ("exact-fp16", "mixed")],
)
def test_the_earlier_keyword_of_variants(tiny_bundle, precision, variant):
    manifest = replace(Bundle.open(tiny_bundle).manifest, precision=precision)
    assert tf32_of(variant, manifest) is (variant == "tf32")


def test_the_earlier_keyword_warns(tiny_bundle, device):
    with pytest.warns(DeprecationWarning, match="variant is deprecated; tf32=True is"):
        flow = Transferer(tiny_bundle, providers=["cuda"], variant="tf32")
    assert device.sessions[ENCODE].options[CUDA]["use_tf32"] == "1"
    assert flow.numerics.startswith("exact-fp32 in TF32")


@pytest.mark.parametrize(("wish", "asked"), [({"tf32": True}, "tf32=True"), ({"cuda_graphs": True}, "CUDA graphs")])
def test_wishes_that_a_cpu_cannot_fulfil(tiny_bundle, wish, asked):
    with pytest.raises(ProviderError, match=f"expected a CUDA provider for {asked}, got CPUExecutionProvider"):
        Transferer(tiny_bundle, providers=["cpu"], **wish)
