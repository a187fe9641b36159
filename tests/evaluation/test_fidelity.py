from __future__ import annotations

import dataclasses
import math
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from flowxfer import images
from flowxfer.errors import InputError, MissingExtraError
from flowxfer.evaluation.action_units import ActionUnits
from flowxfer.evaluation.fidelity import (
    Fidelity,
    TruePeople,
    changed_region,
    drift,
    evaluate,
    no_transfer,
    pixel_arithmetic,
    relative_error,
    summary,
)
from flowxfer.glow.pixels import from_pixels
from flowxfer.glow.training.losses import changed_region as training_region
from flowxfer.glow.training.validation import measure

FACES = Path(str(resources.files("flowxfer") / "data" / "faces"))


@pytest.fixture(scope="module")
def people():
    return dataclasses.replace(TruePeople.read(FACES), expressions=("closed", "smile"))


@pytest.fixture
def faces():
    rng = np.random.default_rng(0)
    target, truth = rng.integers(0, 256, (2, 3, 8, 8, 3), dtype=np.uint8)
    return target, truth, np.ones((8, 8), bool)


def test_the_truth_has_no_error_and_no_transfer_has_one(faces):
    target, truth, everywhere = faces
    assert relative_error(truth, truth, target, everywhere) == 0
    assert relative_error(target, truth, target, everywhere) == 1
    assert relative_error(2.0 * truth - target, truth, target, everywhere) == pytest.approx(1)  # twice too much
    assert math.isnan(relative_error(truth, truth, truth, everywhere))
    assert math.isnan(relative_error(truth, truth, target, ~everywhere))


def test_half_way_leaves_a_quarter_of_the_squared_error(faces):
    target, truth, everywhere = faces
    assert relative_error((target + 1.0 * truth) / 2, truth, target, everywhere) == pytest.approx(0.25)


def test_drift_is_the_change_outside_the_region(faces):
    target, _, everywhere = faces
    inside = np.zeros((8, 8), bool)
    inside[2:4, 2:4] = True
    made = target.astype(float)
    made[:, inside] += 50
    assert drift(made, target, inside) == 0
    made[:, ~inside] += 3
    assert drift(made, target, inside) == pytest.approx(3)
    assert math.isnan(drift(made, target, everywhere))


def test_the_changed_region_grows_by_a_pixel():
    neutral = np.full((8, 8, 3), 100, np.uint8)
    expression = neutral.copy()
    expression[4, 0] += 9
    expression[0, 7] += 7  # too faint
    assert np.argwhere(changed_region(neutral, expression)).tolist() == [[y, x] for y in (3, 4, 5) for x in (0, 1)]


def test_training_measures_the_same(people):
    target, truth = people.faces("neutral", 64), people.faces("smile", 64)
    made = pixel_arithmetic(target, people.performed("smile", 64), people.neutral(64), 0.7)
    images = [from_pixels(torch.from_numpy(pixels)) for pixels in (made, truth, target)]
    region = changed_region(target, truth)
    np.testing.assert_array_equal(region, training_region(images[2], images[1])[:, 0].bool().numpy())
    expected = measure("smile", *images)
    assert relative_error(made, truth, target, region) == pytest.approx(expected.changed, rel=1e-5)
    assert relative_error(made, truth, target, np.ones_like(region)) == pytest.approx(expected.whole, rel=1e-5)
    assert drift(made, target, region) == pytest.approx(expected.drift, rel=1e-5)


def test_pixel_arithmetic_with_alpha_0_is_the_target(people):
    target = people.faces("neutral", 64)
    arguments = people.performed("smile", 64), people.neutral(64)
    np.testing.assert_array_equal(pixel_arithmetic(target, *arguments, 0.0), target)
    assert pixel_arithmetic(target, *arguments, 100.0).dtype == np.uint8


def test_pixel_arithmetic_of_the_performer_is_the_expression(people):
    expression, neutral = people.performed("smile", 64), people.neutral(64)
    np.testing.assert_array_equal(pixel_arithmetic(neutral, expression, neutral, 1.0)[0], expression)
    around = np.concatenate([neutral // 2, neutral - neutral // 2]) * 1.0  # their mean is half the neutral face
    moved = pixel_arithmetic(neutral, expression, around, 1.0)
    np.testing.assert_array_equal(moved[0], (0.5 * neutral[0] + expression).round().clip(0, 255))


def test_every_method_is_measured_on_everyone(people, tiny_transferer):
    methods = {"equation": tiny_transferer.transfer, "none": no_transfer, "truth": lambda *_: people.faces("smile", 32)}
    smiles = dataclasses.replace(people, expressions=("smile",))
    rows = list(evaluate(smiles, methods, 32, (0.0, 1.0)))
    assert len(rows) == 2 * 3 * 4
    assert {row.person for row in rows} == {"id1", "id2", "id3", "id4"}
    for row in rows:
        assert math.isnan(row.likeness)
        if row.method == "none" or (row.method == "equation" and row.alpha == 0):
            assert (row.mouth, row.changed, row.whole, row.drift) == (1, 1, 1, 0)
        if row.method == "truth":
            assert (row.mouth, row.changed, row.psnr, row.ssim) == (0, 0, math.inf, 1)
            assert row.drift < 8


def test_an_untouched_region_is_not_measured(people):
    rows = list(evaluate(people, {"none": no_transfer}, 64, (1.0,)))
    closed = [row for row in rows if row.expression == "closed"]
    assert all(math.isnan(row.mouth) and math.isnan(row.brows) and row.eyes == 1 for row in closed)
    assert len(summary(rows)) == 1
    assert summary(rows)[0].mouth == 1
    by_expression = summary(rows, by_expression=True)
    assert [row.expression for row in by_expression] == ["closed", "smile"]
    assert math.isnan(by_expression[0].mouth)


def test_the_drift_of_identity_is_measured_where_there_is_an_embedder(people):
    class Brightness:
        scale = "brightness"

        def embed(self, pictures):
            return np.array([[picture.mean()] for picture in pictures])

    (row,) = summary(list(evaluate(people, {"none": no_transfer}, 64, (1.0,), embedder=Brightness())))
    assert isinstance(row, Fidelity)
    assert row.likeness > 0


def test_action_units_are_measured_where_there_is_a_meter(people):
    class Colours:
        def measure(self, pictures, raw=None):
            units = np.array([images.load(picture).mean((0, 1)) for picture in pictures])
            return ActionUnits(units, np.full((len(units), 18), np.nan), np.full(len(units), np.nan), ("r", "g", "b"))

    methods = {"none": no_transfer, "truth": lambda *_: people.faces("smile", 64)}
    smiles = dataclasses.replace(people, expressions=("smile",))
    found = {row.method: row for row in summary(list(evaluate(smiles, methods, 64, (1.0,), meter=Colours())))}
    assert found["truth"].correlation == pytest.approx(1)
    assert found["truth"].units == 0
    assert found["none"].units > 0


def test_what_is_missing_is_named(people, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="expected people with true pictures, truth/parameters.json, in"):
        TruePeople.read(tmp_path)
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    with pytest.raises(MissingExtraError, match=r"scikit-image.*flowxfer\[fidelity\]"):
        list(evaluate(people, {"none": no_transfer}, 64))
