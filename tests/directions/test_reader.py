"""A reader of expressions: linear both ways, learned from performances, and beside a bundle."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from flowxfer import Latents, Transferer
from flowxfer.directions import READER, Attributes, ExpressionReader, learn_reader
from flowxfer.errors import BundleError, InputError, LatentsError

NAMES = ("jawOpen", "mouthSmileLeft")


def latents(flow, rng, count):
    levels = [rng.standard_normal((count, *shape)).astype(np.float32) for shape in flow.manifest.latent_shapes]
    return Latents(levels, flow.manifest.model_hash)


@pytest.fixture
def reader(tiny_transferer, rng):
    return ExpressionReader(Attributes(NAMES, latents(tiny_transferer, rng, 2)), latents(tiny_transferer, rng, 2))


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def assert_close(a, b, tolerance=1e-3):
    for x, y in zip(a.levels, b.levels, strict=True):
        np.testing.assert_allclose(x, y, atol=tolerance * max(1.0, np.abs(y).max()))


def test_reading_is_linear(reader, tiny_transferer, rng):
    a, b = latents(tiny_transferer, rng, 3), latents(tiny_transferer, rng, 3)
    np.testing.assert_allclose(reader.read(2 * a - b), 2 * reader.read(a) - reader.read(b), rtol=1e-3, atol=1e-2)
    assert reader.read(0 * a).any() == np.False_


def test_what_is_written_is_the_actions_each_times_its_strength(reader):
    made = reader.write([[0.5, -0.25], [0, 1]])
    assert_close(made[0], 0.5 * reader.actions["jawOpen"] + -0.25 * reader.actions["mouthSmileLeft"])
    assert_close(made[1], reader.actions["mouthSmileLeft"])
    assert_close(reader.write({"mouthSmileLeft": 1}), made[1])


def test_a_vector_is_read_and_written(reader, tiny_transferer, rng):
    vector = latents(tiny_transferer, rng, 2)
    assert_close(reader(vector), reader.write(reader.read(vector)))


def test_saved_and_loaded(reader, tiny_transferer, tmp_path, rng):
    reader.save(tmp_path / READER)
    loaded = ExpressionReader.load(tmp_path / READER, tiny_transferer.manifest)
    assert loaded.names == NAMES
    vector = latents(tiny_transferer, rng, 1)
    assert_close(loaded(vector), reader(vector), 2e-2)  # float16


def test_a_model_with_a_reader_reads_unless_plain(reader, tiny_bundle, tmp_path, rng):
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    reader.save(tmp_path / "bundle" / READER)
    flow, plain = Transferer(tmp_path / "bundle"), Transferer(tmp_path / "bundle", plain=True)
    assert (flow.reads, plain.reads, Transferer(tiny_bundle).reads) == (True, False, False)
    target, expression, neutral = rng.integers(0, 256, (3, 1, flow.size, flow.size, 3), dtype=np.uint8)
    assert_close(flow.direction(expression, neutral), flow.reader(plain.direction(expression, neutral)))
    assert_close(plain.direction(expression, neutral), flow.encode(expression) - flow.encode(neutral))
    assert (flow.transfer(target, expression, neutral, alpha=0) == target).all()
    made = flow.sweep(target, expression, neutral, [0, 1])
    assert (made[0] == target[0]).all()
    assert (made[1] != target[0]).any()


def test_what_varies_beside_the_expression_is_not_read(tiny_transferer, rng):
    """Faces get brighter with one action and darker below with the other; every pair differs in a stripe too."""
    size, count = tiny_transferer.size, 60
    strengths = rng.uniform(0, 1, (count, 2))
    neutral = rng.integers(60, 120, (count, size, size, 3)).astype(np.float64)
    performing = neutral + strengths[:, :1, None, None] * 60
    performing[:, size // 2 :] -= strengths[:, 1:, None, None] * 40
    performing[:, :, : size // 4] += rng.uniform(-40, 40, (count, 1, 1, 3))
    pairs = zip(neutral.astype(np.uint8), performing.round().astype(np.uint8), strict=True)
    reader = learn_reader(tiny_transferer, pairs, strengths, NAMES, ridge=0.003)
    fresh = rng.integers(60, 120, (1, size, size, 3)).astype(np.float64)
    moved = fresh + 30
    moved[:, :, : size // 4] += 35
    read = reader.read(
        tiny_transferer.encode(moved.round().astype(np.uint8)) - tiny_transferer.encode(fresh.astype(np.uint8))
    )
    np.testing.assert_allclose(read, [[0.5, 0.0]], atol=0.2)


def test_bad_input_is_named(reader, tiny_transferer, tiny_bundle, tmp_path, rng):
    with pytest.raises(InputError, match=r"expected weights for each of 2 actions, got 1"):
        ExpressionReader(reader.actions, latents(tiny_transferer, rng, 1))
    with pytest.raises(InputError, match=r"expected finite strengths \(N, 2\), got \(1, 3\)"):
        reader.write([1, 2, 3])
    with pytest.raises(InputError, match=r"expected an attribute of the model, got 'jawopen'; did you mean jawOpen\?"):
        reader.write({"jawopen": 1})
    foreign = Latents([np.zeros((1, *shape)) for shape in tiny_transferer.manifest.latent_shapes], "another")
    with pytest.raises(LatentsError, match="encode the pictures with the same model"):
        reader.read(foreign)
    foreign.save(tmp_path / "other.safetensors")
    with pytest.raises(LatentsError, match="expected reader of the model .* got those of another"):
        ExpressionReader.load(tmp_path / "other.safetensors", tiny_transferer.manifest)
    latents(tiny_transferer, rng, 2).save(tmp_path / "nameless.safetensors")
    with pytest.raises(LatentsError, match="expected reader that flowxfer saved .* no list of names"):
        ExpressionReader.load(tmp_path / "nameless.safetensors", tiny_transferer.manifest)
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    reader.save(tmp_path / READER)
    (tmp_path / "bundle" / READER).symlink_to(tmp_path / READER)
    with pytest.raises(BundleError, match=f"expected {READER} inside the bundle .* it links out of it"):
        _ = Transferer(tmp_path / "bundle").reader


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        (np.ones((2, 3)), "expected finite strengths of 2 actions, got"),
        (np.array([[1.0, 0.0], [1.0, 0.0]]), "expected performances of every action, got none of mouthSmileLeft"),
        (np.ones((3, 2)), "expected a pair of faces for each of 3 rows of strengths, got 2"),
    ],
)
def test_learning_says_what_is_wrong(tiny_transferer, strengths, message):
    face = np.zeros((tiny_transferer.size, tiny_transferer.size, 3), np.uint8)
    with pytest.raises(InputError, match=message):
        learn_reader(tiny_transferer, [(face, face)] * 2, strengths, NAMES)
