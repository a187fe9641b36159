"""The public object: its equation, its shapes, its errors, its threads."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from flowxfer import Latents, Transferer
from flowxfer.engines.probes import probe, probes
from flowxfer.errors import InputError, LatentsError, ShapeError
from flowxfer.export import export_bundle
from flowxfer.transferer import PAPER_ALPHAS
from tests.glow.random_glow import random_glow

SIZE = 32


@pytest.fixture
def transferer(tiny_transferer):
    return tiny_transferer


@pytest.fixture(scope="module")
def faces():
    return np.stack([probe("photograph", SIZE, seed) for seed in range(12)])


def test_transfer_is_the_papers_equation(transferer, faces):
    target, expression, neutral = faces[:3], faces[3], faces[4:8]
    z = transferer.encode(target) + 0.4 * (transferer.encode(expression) - transferer.encode(neutral).mean())
    np.testing.assert_array_equal(transferer.transfer(target, expression, neutral, 0.4), transferer.decode(z))


def test_alpha_may_differ_per_level(transferer, faces):
    alphas = (0.1, 0.7, 0.4)
    direction = transferer.direction(faces[1], faces[2])
    expected = transferer.decode(transferer.encode(faces[0]) + direction * alphas)
    np.testing.assert_array_equal(transferer.transfer(faces[0], faces[1], faces[2], alphas), expected)
    assert (expected != transferer.transfer(faces[0], faces[1], faces[2], 0.4)).any()


def test_each_target_may_have_its_own_expression(transferer, faces):
    together = transferer.transfer(faces[:3], faces[3:6], faces[6], 0.5)
    alone = [transferer.transfer(a, b, faces[6], 0.5)[0] for a, b in zip(faces[:3], faces[3:6], strict=True)]
    np.testing.assert_array_equal(together, alone)


def test_sweep_is_transfer_at_each_alpha(transferer, faces):
    swept = transferer.sweep(faces[0], faces[1], faces[2:5])
    assert swept.shape == (11, SIZE, SIZE, 3)
    assert PAPER_ALPHAS == (0.3, 0.32, 0.34, 0.36, 0.38, 0.4, 0.42, 0.44, 0.46, 0.48, 0.5)
    for image, alpha in zip(swept, PAPER_ALPHAS, strict=True):
        np.testing.assert_array_equal(image, transferer.transfer(faces[0], faces[1], faces[2:5], alpha)[0])


def test_batches_are_cut_anywhere(tiny_bundle, transferer, faces):
    small = Transferer(tiny_bundle, batch_size=5, threads=1)
    np.testing.assert_array_equal(
        small.transfer(faces, faces[1], faces[2:9], 0.4), transferer.transfer(faces, faces[1], faces[2:9], 0.4)
    )
    for a, b in zip(small.mean(faces).levels, transferer.encode(faces).mean().levels, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_frames_stream(transferer, faces):
    drawn = []

    def film():
        for index in itertools.count():
            drawn.append(index)
            yield faces[index % len(faces)]

    stream = transferer.frames(film(), faces[1], faces[2], 0.4)
    first = np.stack(list(itertools.islice(stream, 10)))
    assert len(drawn) <= 16  # two batches: an endless film is never read ahead
    np.testing.assert_array_equal(first, transferer.transfer(faces[:10], faces[1], faces[2], 0.4))


def test_frames_of_nothing(transferer, faces):
    assert list(transferer.frames([], faces[1], faces[2])) == []


def test_mix_goes_from_one_face_to_the_other(transferer, faces):
    np.testing.assert_array_equal(transferer.mix(faces[:4], faces[4:8], 0), faces[:4])
    np.testing.assert_array_equal(transferer.mix(faces[:4], faces[4:8], 1), faces[4:8])


def test_sample_is_decoded_noise(transferer):
    rng = np.random.default_rng(3)
    levels = [0.5 * rng.standard_normal((2, *shape)) for shape in transferer.manifest.latent_shapes]
    expected = transferer.decode(Latents(levels, transferer.manifest.model_hash))
    np.testing.assert_array_equal(transferer.sample(2, temperature=0.5, seed=3), expected)
    assert (transferer.sample(1, seed=1) != transferer.sample(1, seed=2)).any()
    cold = transferer.sample(2, temperature=0, seed=4)
    np.testing.assert_array_equal(cold[0], cold[1])


def test_a_raw_model_samples_the_same_faces(tmp_path):
    model = random_glow(image_size=16, levels=2).float()
    for kind in ("raw", "eps"):
        export_bundle(model, tmp_path / kind, name=kind, licence="none", origin="a test", latents=kind)
    raw, eps = (Transferer(tmp_path / kind, threads=1).sample(4, seed=0) for kind in ("raw", "eps"))
    np.testing.assert_array_equal(raw, eps)


def test_latents_stand_for_faces(transferer, faces, tmp_path):
    expected = transferer.transfer(faces[0], faces[1], faces[2:5], 0.4)
    transferer.encode(faces[1]).save(tmp_path / "smile.safetensors")
    smile, neutral = Latents.load(tmp_path / "smile.safetensors"), transferer.mean(faces[2:5])
    np.testing.assert_array_equal(transferer.transfer(transferer.encode(faces[0]), smile, neutral, 0.4), expected)


def test_paths_and_pil_images_are_faces(transferer, faces, tmp_path):
    Image.fromarray(faces[0]).save(tmp_path / "face.png")
    for face in (tmp_path / "face.png", str(tmp_path / "face.png"), Image.fromarray(faces[0]), [faces[0]]):
        np.testing.assert_array_equal(transferer.decode(transferer.encode(face))[0], faces[0])


def test_quantize_is_openais_floor(tmp_path):
    export_bundle(random_glow(image_size=16, bits=5).float(), tmp_path / "b", name="b", licence="-", origin="-")
    transferer, images = Transferer(tmp_path / "b", threads=1), probes(16)
    coarse = transferer.decode(transferer.encode(images, quantize=True), quantize=True)
    np.testing.assert_array_equal(coarse, images // 8 * 8)


def test_eight_threads_get_what_one_gets(transferer, faces):
    expected = [transferer.transfer(face, faces[1], faces[2:5], 0.4) for face in faces]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda face: transferer.transfer(face, faces[1], faces[2:5], 0.4), [*faces] * 3))
    for a, b in zip(expected * 3, got, strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_models_latents_are_refused(transferer, faces, tmp_path):
    export_bundle(random_glow(image_size=SIZE, levels=3).float(), tmp_path / "b", name="b", licence="-", origin="-")
    stranger = Transferer(tmp_path / "b", threads=1).encode(faces[:1])
    with pytest.raises(LatentsError, match="encode the pictures with the same model"):
        transferer.decode(stranger)
    with pytest.raises(LatentsError, match="expected latents of model"):
        transferer.encode(faces[:1]) - stranger


@pytest.mark.parametrize("alpha", [float("nan"), "much", (0.1, 0.2), [[0.1]], None])
def test_alpha_must_be_usable(transferer, faces, alpha):
    with pytest.raises(InputError, match="expected alpha to be a finite number, or one for each of the 3 levels"):
        transferer.transfer(faces[0], faces[1], faces[2], alpha)


def test_counts_must_fit(transferer, faces):
    with pytest.raises(InputError, match="expected one expression or direction, or one for each of 3 targets, got 2"):
        transferer.transfer(faces[:3], faces[:2], faces[2])
    with pytest.raises(InputError, match="expected one target and one expression, got 2 and 1"):
        transferer.sweep(faces[:2], faces[2], faces[3])
    with pytest.raises(InputError, match="expected at least one alpha, got none"):
        transferer.sweep(faces[0], faces[2], faces[3], [])
    with pytest.raises(InputError, match="expected one expression for all frames, got 2"):
        next(transferer.frames(faces, faces[:2], faces[2]))
    with pytest.raises(InputError, match="expected as many second faces as first ones, got 1 and 2"):
        transferer.mix(faces[0], faces[:2])
    with pytest.raises(InputError, match="expected to sample at least 1 face, got 0"):
        transferer.sample(0)


def test_faces_of_another_size_are_refused(transferer):
    with pytest.raises(ShapeError, match="32x32"):
        transferer.encode(np.zeros((16, 16, 3), np.uint8))


@pytest.mark.parametrize("option", ["batch_size", "threads"])
def test_options_must_be_positive(tiny_bundle, option):
    with pytest.raises(InputError, match=f"expected {option} of at least 1, got 0"):
        Transferer(tiny_bundle, **{option: 0})


def test_self_test_sees_a_lost_pixel(tiny_bundle, monkeypatch):
    transferer = Transferer(tiny_bundle, threads=1)
    assert transferer.self_test() == 0
    engine = transferer._session
    decode = engine.decode
    monkeypatch.setattr(
        engine, "decode", lambda *latents: (images ^ np.uint8([0, 1, 0]) for images in decode(*latents))
    )
    assert transferer.self_test() == pytest.approx(1 / 3)
