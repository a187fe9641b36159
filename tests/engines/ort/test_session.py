"""Providers, batches and memory, where no second device is at hand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnxruntime
import pytest

from flowxfer import Transferer
from flowxfer.bundle import ENCODE, Bundle
from flowxfer.engines.options import EngineOptions
from flowxfer.engines.ort import providers, session
from flowxfer.engines.ort.session import Session
from flowxfer.engines.probes import probe
from flowxfer.errors import MissingExtraError, ProviderError

CUDA = "CUDAExecutionProvider"


@pytest.fixture
def faces():
    return np.stack([probe("photograph", 32, seed) for seed in range(7)])


def test_a_provider_that_was_not_built_in_is_refused(tiny_bundle):
    with pytest.raises(ProviderError, match="got TensorrtExecutionProvider; onnxruntime-gpu brings CUDA and TensorRT"):
        Transferer(tiny_bundle, providers=["tensorrt"])
    with pytest.raises(ProviderError, match="expected at least one provider"):
        Transferer(tiny_bundle, providers=[])


def test_short_names(tiny_bundle):
    assert Transferer(tiny_bundle, providers=["cpu"]).providers == ("CPUExecutionProvider",)
    assert providers.choose("cpu") == ["CPUExecutionProvider"]


@pytest.fixture
def pretended_cuda(monkeypatch):
    """ONNX Runtime says that it has CUDA, and then falls back to the CPU without an error, as it does."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda graph, options, providers: real(graph, options, providers=["CPUExecutionProvider"]),
    )


def test_an_automatic_choice_falls_back_with_one_warning(tiny_bundle, pretended_cuda):
    with pytest.warns(RuntimeWarning, match="expected CUDA.*runs on CPU.*`flowxfer doctor`") as caught:
        transferer = Transferer(tiny_bundle)
    assert len(caught) == 1
    assert transferer.providers == ("CPUExecutionProvider",)


def test_an_explicit_request_that_cannot_be_met_raises(tiny_bundle, pretended_cuda):
    with pytest.raises(ProviderError, match="expected CUDAExecutionProvider, but ONNX Runtime runs on CPU"):
        Transferer(tiny_bundle, providers=["cuda", "cpu"])


def test_a_graph_that_does_not_load(tmp_path):
    (tmp_path / ENCODE).write_bytes(b"no graph")
    with pytest.raises(ProviderError, match="expected CPUExecutionProvider to load .*encode.onnx"):
        providers.activate(tmp_path / ENCODE, ["CPUExecutionProvider"], explicit=True)


def test_without_onnxruntime_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'flowxfer\[cpu\]' brings it"):
        providers.runtime()


def out_of_memory_above(limit, monkeypatch):
    real = session._run

    def run(graph, feed, outputs, device):
        if "image" in feed and len(feed["image"]) > limit:
            raise RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer")
        return real(graph, feed, outputs, device)

    monkeypatch.setattr(session, "_run", run)


def test_out_of_memory_halves_the_batch_and_goes_on(tiny_bundle, faces, monkeypatch, caplog):
    expected = Transferer(tiny_bundle, threads=1).encode(faces).levels
    transferer = Transferer(tiny_bundle, threads=1, batch_size=7)
    out_of_memory_above(2, monkeypatch)
    for a, b in zip(transferer.encode(faces).levels, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert "a batch of 7 does not fit the memory; going on with 3" in caplog.text
    assert transferer._session.batch_size == 1


def test_out_of_memory_with_one_face_is_an_error(tiny_bundle, faces, monkeypatch):
    transferer = Transferer(tiny_bundle, threads=1)
    out_of_memory_above(0, monkeypatch)
    with pytest.raises(RuntimeError, match="Failed to allocate memory"):
        transferer.encode(faces)


def test_other_errors_are_not_taken_for_memory(tiny_bundle, faces, monkeypatch):
    transferer = Transferer(tiny_bundle, threads=1)

    def run(*_):
        raise RuntimeError("something else")

    monkeypatch.setattr(session, "_run", run)
    with pytest.raises(RuntimeError, match="something else"):
        transferer.encode(faces)


def test_padding_to_buckets_changes_nothing(tiny_bundle, faces):
    plain = Transferer(tiny_bundle, threads=1, batch_size=8)
    padded = Transferer(tiny_bundle, threads=1, batch_size=8)
    padded._session._bucket = lambda count: max(8, count)
    a, b = (t.transfer(faces, faces[1], faces[2:5], 0.4) for t in (plain, padded))
    np.testing.assert_array_equal(a, b)
    assert padded._session.encode(faces, 1)[0].rows == 8
    np.testing.assert_array_equal(padded.decode(padded.encode(faces)), faces)


def test_buckets_on_a_gpu_are_powers_of_two(tiny_bundle):
    session = Session(Bundle.open(tiny_bundle), EngineOptions(batch_size=32))
    assert [session._bucket(count) for count in (1, 3, 8, 9)] == [1, 3, 8, 9]
    session.device = "cuda"
    assert [session._bucket(count) for count in (1, 3, 8, 9, 32)] == [1, 4, 8, 16, 32]


def test_a_transfer_reads_no_latents_back(tiny_bundle, faces, monkeypatch):
    """What lies on the device stays there: only pictures come back."""
    transferer = Transferer(tiny_bundle, threads=1, batch_size=2)

    def copied(self):
        raise AssertionError("latents were copied to the host")

    monkeypatch.setattr(session.Chunk, "levels", copied)
    transferer.transfer(faces, faces[0], faces[1:6], 0.4)
    transferer.sweep(faces[0], faces[1], faces[2:5])
    list(transferer.frames(faces, faces[0], faces[1:6]))
    transferer.mix(faces[:3], faces[3:6])
    with pytest.raises(AssertionError, match="copied to the host"):
        _ = transferer.mean(faces).levels


HEAVY = "torch onnx av cv2 gradio ray tensorrt facenet_pytorch dlib numba anny typer rich matplotlib".split()


def test_importing_flowxfer_and_transferring_loads_nothing_heavy(tiny_bundle):
    code = (
        "import sys, numpy as np; from flowxfer import Transferer; "
        f"t = Transferer({str(tiny_bundle)!r}); t.transfer(*np.zeros((3, 1, 32, 32, 3), np.uint8)); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_importing_flowxfer_does_not_load_onnxruntime():
    code = "import sys, flowxfer; print('onnxruntime' in sys.modules, 'pooch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("provider", "device"),
    [
        ("CPUExecutionProvider", "cpu"),
        ("OpenVINOExecutionProvider", "cpu"),
        (CUDA, "cuda"),
        ("TensorrtExecutionProvider", "cuda"),
    ],
)
def test_latents_lie_where_the_provider_keeps_them(tiny_bundle, monkeypatch, provider, device):
    class Opened:
        def get_providers(self):
            return [provider]

    monkeypatch.setattr(session, "choose", lambda asked: [provider])
    monkeypatch.setattr(session, "activate", lambda *_, **__: Opened())
    monkeypatch.setattr(session, "check_tensorrt", lambda manifest: None)
    monkeypatch.setattr(session, "tensorrt_options", lambda *_, **__: {})
    assert Session(Bundle.open(tiny_bundle)).device == device
