from types import SimpleNamespace

import numpy as np
import pytest

from flowxfer import Latents
from flowxfer.directions import Labels, learn
from flowxfer.errors import InputError

SHAPES = ((2, 4, 4), (3, 2, 2))


class Linear:
    """Stands for a model whose latents are made known: a face is the row of numbers to encode to."""

    def __init__(self, batch_size=3):
        self.batch_size = batch_size
        self.manifest = SimpleNamespace(latent_shapes=SHAPES, model_hash="m")

    def encode(self, faces):
        rows = np.stack(faces)
        bounds = np.cumsum([0, *(int(np.prod(shape)) for shape in SHAPES)])
        parts = zip(bounds, bounds[1:], SHAPES, strict=False)
        return Latents([rows[:, a:b].reshape(len(rows), *shape) for a, b, shape in parts], "m")


WIDTH = sum(int(np.prod(shape)) for shape in SHAPES)


def flat(latents):
    return np.concatenate([level.reshape(len(level), -1) for level in latents.levels], 1)


def labels(values, names=("a", "b", "c")):
    values = np.asarray(values, float)
    return Labels(tuple(map(str, range(len(values)))), tuple(names[: values.shape[1]]), values)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_one_attribute_is_the_difference_of_means(tiny_transferer, rng):
    faces = rng.integers(0, 256, (7, 32, 32, 3), np.uint8)
    has = np.array([1, 0, 0, 1, 1, 0, 1])
    learned = learn(tiny_transferer, faces, labels(2 * has[:, None] - 1, ["Smiling"]))
    z = flat(tiny_transferer.encode(faces))
    expected = z[has == 1].mean(0) - z[has == 0].mean(0)
    np.testing.assert_allclose(flat(learned["Smiling"])[0], expected, rtol=1e-4, atol=1e-5)


def test_attributes_that_go_together_are_told_apart(rng):
    vectors, base = rng.normal(size=(2, WIDTH)), rng.normal(size=WIDTH)
    known = np.array([[0, 0], [1, 1], [1, 1], [1, 1], [0, 1], [0, 0], [1, 0]])  # mostly both or neither
    learned = learn(Linear(), known @ vectors + base, labels(known))
    np.testing.assert_allclose(flat(learned["a"])[0], vectors[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(flat(learned["b"])[0], vectors[1], rtol=1e-5, atol=1e-6)


def test_it_is_least_squares(rng):
    faces, known = rng.normal(size=(20, WIDTH)), rng.integers(0, 2, (20, 3))
    expected, *_ = np.linalg.lstsq(np.column_stack([known, np.ones(20)]), faces, rcond=None)
    learned = learn(Linear(), faces, labels(known))
    for name, vector in zip("abc", expected, strict=False):
        np.testing.assert_allclose(flat(learned[name])[0], vector, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("apart", [1e-4, 1e-6])
def test_labels_that_nearly_agree(rng, apart):
    vectors, base = rng.normal(size=(2, WIDTH)), rng.normal(size=WIDTH)
    age = rng.uniform(0, 1, 40)
    known = np.stack([age, age + apart * rng.normal(size=40)], 1)
    low, high = known.min(0), known.max(0)
    learned = learn(Linear(), known @ vectors + base, labels(known))
    for name, vector in zip("ab", (high - low)[:, None] * vectors, strict=True):
        np.testing.assert_allclose(flat(learned[name])[0], vector, rtol=1e-5, atol=1e-5)


def test_labels_may_be_on_any_scale(rng):
    faces, known = rng.normal(size=(8, WIDTH)), np.linspace(0, 1, 8)[:, None]
    learned = [learn(Linear(), faces, labels(scale * known + low)) for scale, low in ((1, 0), (2, -1), (64, 18))]
    for other in learned[1:]:
        np.testing.assert_allclose(flat(other["a"]), flat(learned[0]["a"]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_batches_change_nothing(rng, batch_size):
    faces, known = rng.normal(size=(9, WIDTH)), rng.permutation([0, 0, 0, 0, 1, 1, 1, 1, 1])[:, None]
    expected = flat(learn(Linear(), faces, labels(known))["a"])
    found = learn(Linear(batch_size), iter(faces), labels(known))["a"]
    np.testing.assert_allclose(flat(found), expected, rtol=1e-6, atol=1e-6)


def test_an_attribute_that_never_changes():
    with pytest.raises(
        InputError,
        match="expected faces with and without every attribute, got no such for 'b'; leave it out of the list",
    ):
        learn(Linear(), np.zeros((2, WIDTH)), labels([[0, 1], [1, 1]]))
    with pytest.raises(InputError, match="got no such for 'a' and 2 more; leave"):
        learn(Linear(), np.zeros((2, WIDTH)), labels([[0, 1, 5], [0, 1, 5]]))


def test_an_attribute_that_follows_from_others():
    with pytest.raises(InputError, match="expected labels that tell 2 attributes apart, got some that follow from"):
        learn(Linear(), np.zeros((3, WIDTH)), labels([[0, 1], [1, 0], [1, 0]]))


@pytest.mark.parametrize(("count", "got"), [(2, "2"), (5, "more"), (0, "0")])
def test_not_a_face_for_each_row(count, got):
    with pytest.raises(InputError, match=f"expected 3 faces, one for each row of labels, got {got}"):
        learn(Linear(), np.zeros((count, WIDTH)), labels([[0], [1], [1]]))
