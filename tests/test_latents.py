from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from flowxfer import Latents
from flowxfer.errors import InputError, LatentsError
from flowxfer.latents import alpha_per_level


def latents(count=3, model="m", seed=0):
    rng = np.random.default_rng(seed)
    return Latents([rng.standard_normal((count, 6, 4, 4)), rng.standard_normal((count, 24, 2, 2))], model)


def equal(a, b):
    return all((x == y).all() for x, y in zip(a.levels, b.levels, strict=True))


def test_arithmetic_acts_on_every_level():
    a, b = latents(seed=1), latents(seed=2)
    for level in range(2):
        np.testing.assert_allclose((a + b).levels[level], a.levels[level] + b.levels[level])
        np.testing.assert_allclose((a - b).levels[level], a.levels[level] - b.levels[level])
        np.testing.assert_allclose((0.5 * a).levels[level], a.levels[level] * 0.5)
        np.testing.assert_allclose((a * (2, 3)).levels[level], a.levels[level] * (2, 3)[level])
        np.testing.assert_allclose((-a).levels[level], -a.levels[level])


def test_one_face_stands_for_many():
    a, b = latents(3), latents(1, seed=2)
    assert len(a + b) == 3
    np.testing.assert_allclose((a + b).levels[0][2], a.levels[0][2] + b.levels[0][0])


def test_mean_is_the_mean_over_faces():
    a = latents(3)
    assert len(a.mean()) == 1
    np.testing.assert_allclose(a.mean().levels[1][0], a.levels[1].mean(0))


def test_indexing_keeps_the_batch():
    a = latents(3)
    assert [len(a[1]), len(a[-1]), len(a[1:])] == [1, 1, 2]
    np.testing.assert_array_equal(a[-1].levels[0][0], a.levels[0][2])
    with pytest.raises(IndexError, match="expected an index of 3 faces, got 3"):
        a[3]
    assert sum(1 for _ in a) == 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saved_latents_come_back_to_the_bit(tmp_path, dtype):
    a = Latents([level.astype(dtype) for level in latents().levels], "abc")
    a.save(tmp_path / "z.safetensors")
    b = Latents.load(tmp_path / "z.safetensors")
    assert b.model_hash == "abc"
    assert equal(a, b)
    assert {level.dtype for level in b.levels} == {np.dtype(dtype)}
    assert [file.name for file in tmp_path.iterdir()] == ["z.safetensors"]


def test_bytes_are_those_of_the_file(tmp_path):
    a = latents()
    a.save(tmp_path / "z.safetensors", metadata={"a": "b"})
    assert a.to_bytes(metadata={"a": "b"}) == (tmp_path / "z.safetensors").read_bytes()
    b = Latents.from_bytes(a.to_bytes())
    assert equal(a, b)
    assert b.model_hash == a.model_hash
    with pytest.raises(LatentsError, match="expected a safetensors file in an upload, but it cannot be read"):
        Latents.from_bytes(a.to_bytes()[:-1], "an upload")


def test_latents_of_two_models_do_not_mix():
    with pytest.raises(LatentsError, match="expected latents of model other.*got latents of model m"):
        latents(model="other") + latents(model="m")


def test_counts_must_agree():
    with pytest.raises(LatentsError, match="expected as many faces on both sides, or one, got 3 and 2"):
        latents(3) - latents(2)
    with pytest.raises(LatentsError, match="same N, got shapes"):
        Latents([np.zeros((1, 3, 2, 2)), np.zeros((2, 3, 1, 1))], "m")
    with pytest.raises(LatentsError, match="expected one"):
        Latents([], "m")


def test_foreign_files_are_refused(tmp_path):
    with pytest.raises(LatentsError, match=r"expected a safetensors file at .*none\.safetensors"):
        Latents.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(LatentsError, match="cannot be read"):
        Latents.load(tmp_path / "text.safetensors")
    save_file({"weights": np.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(LatentsError, match="expected latents that flowxfer saved"):
        Latents.load(tmp_path / "weights.safetensors")
    latents().save(tmp_path / "z.safetensors")
    data = (tmp_path / "z.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[:-10])
    with pytest.raises(LatentsError, match="cannot be read"):
        Latents.load(tmp_path / "cut.safetensors")


def test_the_same_latents_are_the_same_bytes(tmp_path):
    """In other processes too, whose hashes of names differ."""
    z = Latents([np.ones((1, 6, 2, 2)), np.zeros((1, 12, 1, 1))], "ab" * 32, "a test")
    assert len({z.to_bytes(metadata={"b": "1", "a": "2", "c": "3"}) for _ in range(50)}) == 1
    (tmp_path / "z").write_bytes(z.to_bytes())
    assert all(np.array_equal(a, b) for a, b in zip(Latents.load(tmp_path / "z").levels, z.levels, strict=True))
    z.save(tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == (tmp_path / "z").read_bytes()


def test_thousands_of_names_are_a_short_sentence(tmp_path):
    save_file({f"name{index}": np.zeros(1) for index in range(20_000)}, tmp_path / "z", {"flowxfer.model": "a"})
    with pytest.raises(LatentsError) as caught:
        Latents.load(tmp_path / "z")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("alpha", [1e308, -1e308, 1001, [0, 0, 1e9]])
def test_no_face_is_that_far_away(alpha):
    with pytest.raises(InputError, match="expected alpha from -1000 to 1000, got .*; 1 transfers in full"):
        alpha_per_level(alpha, 3)
