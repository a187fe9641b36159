from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowxfer.errors import ImageError, InputError
from flowxfer.glow.training.data import Faces, Pairs
from tests.glow.training.conftest import SIZE, write_shard


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_faces_come_from_the_folder_and_its_subfolders(faces: Path) -> None:
    source = Faces(str(faces), SIZE)
    files = {np.asarray(Image.open(path)).tobytes() for path in faces.rglob("*.png")}
    batch = source.batch(100, rng(), flips=False).numpy()
    assert batch.shape == (100, SIZE, SIZE, 3)
    assert batch.dtype == np.uint8
    assert {picture.tobytes() for picture in batch} == files


def test_flips_mirror_about_half_of_the_faces(faces: Path) -> None:
    source = Faces(str(faces), SIZE)
    plain, flipped = (source.batch(100, rng(), flips=flips).numpy() for flips in (False, True))
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(plain, flipped, strict=True)]
    assert all(m or np.array_equal(a, b) for m, a, b in zip(mirrored, plain, flipped, strict=True))
    assert 30 < sum(mirrored) < 70


def test_a_batch_depends_on_the_generator_only(faces: Path, shards: str) -> None:
    for source in (Faces(str(faces), SIZE), Pairs(shards, SIZE)):
        first = source.batch(8, rng(1), flips=True)
        source.batch(8, rng(2), flips=True)
        assert np.array_equal(source.batch(8, rng(1), flips=True), first)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"expected pictures \(.*\) in {tmp_path}, got none"):
        Faces(str(tmp_path), SIZE)


def test_a_face_of_another_size_is_an_error(tmp_path: Path) -> None:
    Image.new("RGB", (20, 24)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"expected faces of 16x16 pixels, got 20x24 in .*a.png; align\(\) crops them"):
        Faces(str(tmp_path), SIZE).batch(1, rng(), flips=False)


def test_a_damaged_face_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"expected a picture .* in .*a.png, got something else"):
        Faces(str(tmp_path), SIZE).batch(1, rng(), flips=False)


def test_transfers_are_what_the_shards_hold(shards: str) -> None:
    source = Pairs(shards, SIZE)
    batch = source.transfers(200, rng(), flips=False)
    strengths = {strength for shard in source.shards.values() for strength in shard.strengths.flat}
    assert set(batch.strength[batch.strength < 1]) == strengths
    assert 60 < (batch.strength == 1).sum() < 140
    neutral, expression, target = (x.numpy().astype(float) for x in (batch.neutral, batch.expression, batch.target))
    full, asked = expression - neutral, target - neutral
    assert np.abs(asked - batch.strength[:, None, None, None] * full).max() <= 0.5  # the fixture is linear
    assert np.array_equal(full[0::2], full[1::2])  # neighbours share the expression,
    assert (batch.strength[0::2] == batch.strength[1::2]).all()
    assert (neutral[0::2] != neutral[1::2]).any((1, 2, 3)).all()  # and are two people


def test_neighbours_are_mirrored_together(shards: str) -> None:
    source = Pairs(shards, SIZE)
    plain, flipped = (source.transfers(40, rng(), flips=flips) for flips in (False, True))
    seen = []
    for name in ("neutral", "expression", "target"):
        a, b = getattr(plain, name).numpy(), getattr(flipped, name).numpy()
        seen.append([np.array_equal(x, y[:, ::-1]) for x, y in zip(a, b, strict=True)])
        assert all(m or np.array_equal(x, y) for m, x, y in zip(seen[-1], a, b, strict=True))
    assert seen[0][0::2] == seen[0][1::2]
    assert 4 < sum(seen[0][0::2]) < 16


def test_new_shards_are_picked_up_when_they_are_complete(shards: str, tmp_path: Path) -> None:
    source = Pairs(shards, SIZE)
    write_shard(tmp_path / "train_2.npy", seed=2)
    truth = (tmp_path / "train_2.npz").rename(tmp_path / "later.npz")
    source.refresh()
    assert len(source.shards) == 2
    truth.rename(tmp_path / "train_2.npz")
    source.refresh()
    assert len(source.shards) == 3


def test_a_shard_that_is_damaged_while_a_run_goes_on_is_left_out(
    shards: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = Pairs(shards, SIZE)
    write_shard(tmp_path / "train_2.npy")
    (tmp_path / "train_2.npy").write_bytes(b"no array")
    write_shard(tmp_path / "train_3.npy")
    source.refresh()
    source.refresh()
    assert [Path(name).name for name in source.shards] == ["train_0.npy", "train_1.npy", "train_3.npy"]
    assert caplog.text.count("left out: expected a paired shard and its .npz at") == 1


def test_no_shards_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected shards, each with its .npz, that fit .*none_\*.npy, got none"):
        Pairs(str(tmp_path / "none_*.npy"), SIZE)
