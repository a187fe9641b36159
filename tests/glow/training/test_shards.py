"""Shards that hold photographs beside rendered people."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from flowxfer.errors import InputError, ShapeError
from flowxfer.glow.training.data import Pairs
from flowxfer.glow.training.stores import DeviceStore, MappedStore
from tests.glow.training.conftest import (
    JAW,
    SIZE,
    SMILE_LEFT,
    SMILE_RIGHT,
    smooth_pictures,
    write_photographs,
    write_shard,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_what_is_not_valid_is_never_drawn(photographs: str) -> None:
    source = Pairs(photographs, SIZE)
    for pictures in (
        source.batch(300, rng(), flips=False),
        source.transfers(300, rng(), flips=False).expression,
        source.transfers(300, rng(), flips=False).target,
    ):
        assert (pictures.flatten(1).amax(1) > 0).all()
    opened = source.transfers(300, rng(), flips=False)
    assert opened.photographs[opened.actions[:, JAW] == 1].any()  # the other photograph shows it


def test_photographs_are_told_from_rendered_people(photographs: str) -> None:
    source = Pairs(photographs, SIZE)
    batch = source.transfers(200, rng(), flips=False)
    rendered = {
        p.tobytes() for shard in source.shards.values() for p in shard.pictures[:, :2, 0].reshape(-1, SIZE, SIZE, 3)
    }
    told = [picture.numpy().tobytes() not in rendered for picture in batch.neutral]
    assert told == batch.photographs.tolist()
    assert 60 < sum(told) < 140


def test_a_mirrored_expression_has_mirrored_actions(photographs: str) -> None:
    source = Pairs(photographs, SIZE)
    plain, flipped = (source.transfers(80, rng(), flips=flips) for flips in (False, True))
    mirrored = (plain.neutral != flipped.neutral).flatten(1).any(1).numpy()
    smiles = plain.actions[:, SMILE_LEFT] == 1
    for expected, rows in ((SMILE_RIGHT, smiles & mirrored), (SMILE_LEFT, smiles & ~mirrored)):
        assert rows.sum() > 5
        assert (flipped.actions[rows].argmax(1) == expected).all()
    assert (flipped.actions[~smiles].argmax(1) == JAW).all()
    assert (flipped.actions.sum(1) == 1).all()


def test_tones_are_a_persons(photographs: str) -> None:
    tones = Pairs(photographs, SIZE).transfers(200, rng(), flips=False, tones=0.6).tones
    varied = (tones != 1).any(1)
    assert tones.shape == (200, 5)
    assert 90 < varied.sum() < 150
    assert len(np.unique(tones[varied], axis=0)) == varied.sum()


def test_a_shard_of_twice_the_size_is_reduced(tmp_path: Path) -> None:
    large = rng().integers(0, 256, (1, 2, 3, 2 * SIZE, 2 * SIZE, 3)).astype(np.uint8)
    np.save(tmp_path / "large.npy", large)
    np.savez(tmp_path / "large.npz", strengths=np.ones((1, 1)))
    batch = Pairs(str(tmp_path / "large.npy"), SIZE).transfers(2, rng(), flips=False)
    means = large.reshape(2, 3, SIZE, 2, SIZE, 2, 3).mean((3, 5))
    for got, picture in ((batch.neutral, 0), (batch.expression, 1)):
        errors = np.abs(got.numpy()[:, None] - means[None, :, picture]).max((2, 3, 4)).min(1)
        assert errors.max() <= 0.5


def test_a_device_holds_what_the_files_hold() -> None:
    parts = [smooth_pictures(rng(seed), count) for seed, count in enumerate((3, 1, 7))]
    stores = MappedStore(SIZE), DeviceStore(SIZE, torch.device("cpu"), 3 * SIZE**2 * 11)
    for store in stores:
        for part in parts:
            assert store.has_room(len(part))
            store.add(part)
    numbers = rng().integers(0, 11, 40)
    expected = np.concatenate(parts)[numbers]
    assert all(np.array_equal(store[numbers], expected) for store in stores)
    assert [store.has_room(1) for store in stores] == [True, False]


def test_shards_without_room_are_not_taken(photographs: str) -> None:
    pictures = 3 * 4 * 5
    source = Pairs(photographs, SIZE, DeviceStore(SIZE, torch.device("cpu"), 1.5 * pictures * 3 * SIZE**2))
    source.refresh()
    assert len(source.shards) == 1
    assert source.transfers(40, rng(), flips=False).neutral.shape == (40, SIZE, SIZE, 3)


def test_the_wrong_arrays_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for name, array, message in (
        ("valid", np.ones((3, 4), bool), "expected valid (3, 4, 2) in {path}, got bool (3, 4)"),
        ("expressions", np.ones((3, 2, 51)), "expected expressions (3, 2, 52) in {path}, got float64 (3, 2, 51)"),
    ):
        write_photographs(path, **{name: array})
        with pytest.raises(ShapeError, match=re.escape(message.format(path=path.with_suffix(".npz")))):
            Pairs(str(path), SIZE)
    write_photographs(path, valid=np.eye(4, dtype=bool)[None, :, :2].repeat(3, 0))
    with pytest.raises(InputError, match="expected expressions that two people of a group show in .*a.npy, got none"):
        Pairs(str(path), SIZE)


def test_damaged_shards_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    write_shard(path)
    np.savez(path.with_suffix(".npz"), other=1)
    with pytest.raises(InputError, match=r"expected a paired shard and its .npz at .*a.npy: .*strengths"):
        Pairs(str(path), SIZE)
    write_shard(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"expected a paired shard and its .npz at .*a.npy"):
        Pairs(str(path), SIZE)
    write_shard(path)
    with pytest.raises(ShapeError, match=r"expected uint8 pictures \(3, 3, 5, 32, .* in .*, got uint8 \(3, 3, 5, 16"):
        Pairs(str(path), 32)
