import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra synth is not installed")

from flowxfer.errors import InputError
from flowxfer.synth import NAMED, NEUTRAL, Sitter, expression
from flowxfer.synth.dataset import (
    DEMO_SEEDS,
    EVALUATION_SEEDS,
    EVALUATION_STRENGTHS,
    TRAINING_START,
    Shoot,
    training_shards,
    write_evaluation,
    write_training,
)
from flowxfer.synth.demo import DEMO_PEOPLE

SMALL = {"groups": 3, "people": 2, "expressions": 1, "size": 16, "shard": 2}


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    return write_training(tmp_path_factory.mktemp("set") / "t.npy", **SMALL)


def test_shards_hold_every_group_once(tmp_path):
    shards = training_shards(tmp_path / "t.npy", 450, 200)
    assert [file.name for file, _ in shards] == ["t_000.npy", "t_001.npy", "t_002.npy"]
    assert [g for _, numbers in shards for g in numbers] == list(range(450))
    assert training_shards(tmp_path / "t.npy", 5, 200) == [(tmp_path / "t.npy", range(5))]


def test_pictures_are_what_the_truth_says(training):
    assert [file.name for file in training] == ["t_000.npy", "t_001.npy"]
    pictures, truth = np.load(training[0], mmap_mode="r"), np.load(training[0].with_suffix(".npz"))
    assert pictures.shape == (2, 2, 3, 16, 16, 3)
    assert pictures.dtype == np.uint8
    shoot = Shoot.sample(int(truth["seeds"][1, 1]))
    full, strength = truth["expressions"][1, 0].astype(float), float(truth["strengths"][1, 0])
    for k, vector in enumerate((NEUTRAL, full, strength * full)):
        np.testing.assert_array_equal(pictures[1, 1, k], shoot.picture(vector, size=16))
    assert truth["sex"][1, 1] == shoot.sitter.person.sex
    assert truth["ancestry"].shape == (2, 2, 3)


def test_a_group_shares_expressions_but_not_people_or_light(training):
    truth = np.load(training[0].with_suffix(".npz"))
    assert len(np.unique(truth["seeds"])) == 4
    first, second = (Shoot.sample(int(seed)) for seed in truth["seeds"][0])
    assert first.light != second.light
    assert first.camera != second.camera
    assert 0.3 <= truth["strengths"].min() <= truth["strengths"].max() <= 0.85


def test_a_run_goes_on_where_it_stopped(training, tmp_path):
    def stop(done, total, rate):
        if done == 6:
            raise KeyboardInterrupt

    path = tmp_path / "t.npy"
    with pytest.raises(KeyboardInterrupt):
        write_training(path, **SMALL, progress=stop)
    assert list(tmp_path.iterdir()) == []  # nothing half done
    first = write_training(path, **SMALL | {"groups": 3})[0]
    stamp = first.stat().st_mtime_ns
    (tmp_path / "t_001.npy").unlink()
    again = write_training(path, **SMALL)
    assert first.stat().st_mtime_ns == stamp
    for here, there in zip(again, training, strict=True):
        assert here.read_bytes() == there.read_bytes()


def test_another_seed_is_another_set(training, tmp_path):
    other = write_training(tmp_path / "o.npy", groups=1, people=2, expressions=1, size=16, seed=1)[0]
    here, there = np.load(other.with_suffix(".npz")), np.load(training[0].with_suffix(".npz"))
    assert not set(here["seeds"].ravel()) & set(there["seeds"].ravel())
    assert not np.array_equal(here["expressions"][0], there["expressions"][0])


def test_nobody_is_in_two_sets(training):
    assert set(DEMO_PEOPLE) <= set(DEMO_SEEDS)
    assert DEMO_SEEDS.stop <= EVALUATION_SEEDS.start < EVALUATION_SEEDS.stop <= TRAINING_START
    assert np.load(training[0].with_suffix(".npz"))["seeds"].min() >= TRAINING_START


def test_evaluation_shows_every_name_at_every_strength(tmp_path):
    pictures = np.load(write_evaluation(tmp_path / "e.npy", people=1, size=16))
    truth = np.load(tmp_path / "e.npz")
    assert pictures.shape == (1, 1 + len(NAMED) * len(EVALUATION_STRENGTHS), 16, 16, 3)
    assert list(truth["names"]) == list(NAMED)
    shoot = Shoot.sample(EVALUATION_SEEDS[0])
    k = 1 + 3 * list(NAMED).index("pucker") + 1
    np.testing.assert_array_equal(pictures[0, k], shoot.picture(expression("pucker", strength=0.7), size=16))
    assert isinstance(shoot.sitter, Sitter)


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a .npy and at least one group, got 't.npz' and 1 groups of 4"):
        write_training(tmp_path / "t.npz", groups=1)
    with pytest.raises(InputError, match=r"got 't.npy' and 0 groups"):
        write_training(tmp_path / "t.npy", groups=0)
    with pytest.raises(InputError, match=r"expected a .npy and 1 to 900000 people, got 'e.npy' and 0"):
        write_evaluation(tmp_path / "e.npy", people=0)
