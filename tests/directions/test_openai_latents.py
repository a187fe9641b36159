"""OpenAI's flat latents: level after level, height, width, channel."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from flowxfer.directions import openai_latents
from flowxfer.directions.openai_latents import flatten, load, unflatten
from flowxfer.errors import LatentsError
from flowxfer.glow import GlowConfig

SHAPES = GlowConfig(image_size=16, levels=3).latent_shapes()
DIMENSIONS = 3 * 16 * 16


def vectors(*leading, dtype=np.float32):
    return np.random.default_rng(0).normal(size=(*leading, DIMENSIONS)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_flatten_undoes_unflatten(dtype):
    levels = unflatten(vectors(5, dtype=dtype), SHAPES)
    assert [level.shape for level in levels] == [(5, *shape) for shape in SHAPES]
    np.testing.assert_array_equal(flatten(levels), vectors(5, dtype=dtype), strict=True)


def test_leading_axes_become_one():
    assert unflatten(vectors(), SHAPES)[0].shape == (1, *SHAPES[0])
    np.testing.assert_array_equal(flatten(unflatten(vectors(2, 3), SHAPES)), vectors(2, 3).reshape(6, -1))
    assert unflatten(vectors(0), SHAPES)[0].shape == (0, *SHAPES[0])


def test_the_order_is_level_height_width_channel():
    vector = np.arange(DIMENSIONS, dtype=np.float64)
    first, second, third = unflatten(vector, SHAPES)
    assert SHAPES[0] == (6, 8, 8)
    assert first[0, 2, 3, 1] == (3 * 8 + 1) * 6 + 2
    assert second[0, 0, 0, 0] == 6 * 8 * 8
    assert third[0, -1, -1, -1] == DIMENSIONS - 1


def test_it_is_the_order_of_openai_s_tensors(golden):
    """In OpenAI's NHWC results a level is flattened as it lies in memory."""
    tensors = [golden[f"eps_{level}"] for level in range(3)]
    flat = np.concatenate([tensor.reshape(len(tensor), -1) for tensor in tensors], 1)
    for ours, theirs in zip(unflatten(flat, GlowConfig(image_size=32, levels=3).latent_shapes()), tensors, strict=True):
        np.testing.assert_array_equal(ours.transpose(0, 2, 3, 1), theirs)


def test_a_file_is_read(tmp_path):
    np.save(tmp_path / "z.npy", vectors(4))
    np.testing.assert_array_equal(flatten(load(tmp_path / "z.npy", SHAPES)), vectors(4))


def test_torch_is_not_needed():
    code = "import sys, flowxfer.directions.openai_latents; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("wrong", [np.zeros((4, 7)), np.zeros(()), np.zeros((4, DIMENSIONS), np.int32)])
def test_vectors_of_another_model_are_refused(wrong):
    with pytest.raises(LatentsError, match=r"expected floating point vectors of 768 values .*; latents fit only"):
        unflatten(wrong, SHAPES)


@pytest.mark.parametrize("levels", [[], [np.zeros((1, 2, 3))], [np.zeros((1, 1, 1, 1)), np.zeros((2, 1, 1, 1))]])
def test_levels_that_are_no_levels_are_refused(levels):
    with pytest.raises(LatentsError, match=r"expected levels of shape \(N, C, H, W\) with one N, got"):
        flatten(levels)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04hello"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "z.npy").write_bytes(content)
    with pytest.raises(LatentsError, match=r"expected a .npy file of latents at .*z.npy, but it cannot be read"):
        load(tmp_path / "z.npy", SHAPES)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(LatentsError, match=r"expected a .npy file of latents at .*nothing.npy"):
        load(tmp_path / "nothing.npy", SHAPES)


def test_a_truncated_file_is_refused(tmp_path):
    np.save(tmp_path / "z.npy", vectors(4))
    (tmp_path / "z.npy").write_bytes((tmp_path / "z.npy").read_bytes()[:-4])
    with pytest.raises(LatentsError, match="cannot be read"):
        load(tmp_path / "z.npy", SHAPES)


def test_pickled_objects_are_refused(tmp_path):
    np.save(tmp_path / "z.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(LatentsError, match=r"cannot be read.*Python objects"):
        openai_latents.load(tmp_path / "z.npy", SHAPES)
