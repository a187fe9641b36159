from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowxfer.errors import InputError
from flowxfer.glow import Glow
from flowxfer.glow.pixels import from_pixels
from flowxfer.glow.training.actions import ActionTable
from flowxfer.glow.training.pictures import draw_samples, draw_transfers, save_grid
from flowxfer.glow.training.validation import measure, transfer, validate
from flowxfer.images.heldout import HeldOut
from tests.glow.training.conftest import SIZE, TINY


def test_held_out_people_are_read_at_full_strength(held_out: str) -> None:
    people = HeldOut.read(held_out)
    assert people.names == ("smile", "frown")
    pictures = np.load(held_out)
    assert np.array_equal(people.neutral, pictures[:, 0])
    assert np.array_equal(people.truth, pictures[:, [2, 4]])


def write_people(folder: Path, *names: str) -> np.ndarray:
    """Pictures of the names, each of one grey."""
    folder.mkdir()
    greys = np.arange(1, len(names) + 1, dtype=np.uint8) * 20
    for name, grey in zip(names, greys, strict=True):
        Image.new("RGB", (2 * SIZE, 2 * SIZE), (int(grey),) * 3).save(folder / name)
    return greys


def test_photographed_people_are_those_who_show_everything(tmp_path: Path) -> None:
    names = "ann_neutral.png ann_smiling.png bo_b_neutral.png bo_b_smiling.png cy_neutral.png di_smiling.png notes.png"
    greys = write_people(tmp_path / "people", *names.split())
    people = HeldOut.photographed(tmp_path / "people", SIZE)  # neither cy nor di does
    assert people.names == ("smiling",)
    assert people.neutral.shape == (2, SIZE, SIZE, 3)
    assert people.truth.shape == (2, 1, SIZE, SIZE, 3)
    assert people.neutral[:, 0, 0, 0].tolist() == greys[[0, 2]].tolist()
    assert people.truth[:, 0, 0, 0, 0].tolist() == greys[[1, 3]].tolist()


def test_nobody_to_perform_is_an_error(tmp_path: Path) -> None:
    write_people(tmp_path / "one", "ann_neutral.png", "ann_smiling.png", "bo_neutral.png")
    (tmp_path / "none").mkdir()
    for name, count in (("one", 1), ("none", 0)):
        message = f"expected two people or more in {tmp_path / name} with pictures such as ann_neutral.png and"
        with pytest.raises(InputError, match=f"{re.escape(message)} ann_smiling.png, got {count}"):
            HeldOut.photographed(tmp_path / name, SIZE)


def test_a_file_of_another_form_is_an_error(held_out: str, tmp_path: Path) -> None:
    np.save(held_out, np.load(held_out)[:, :4])
    with pytest.raises(InputError, match=re.escape("expected uint8 pictures (P, 5, S, S, 3) of 4 people or more in")):
        HeldOut.read(held_out)
    with pytest.raises(InputError, match=r"expected held-out people and their .npz at .*none.npy"):
        HeldOut.read(str(tmp_path / "none.npy"))


def faces() -> tuple[torch.Tensor, torch.Tensor]:
    """A grey face, and one whose 4x4 patch is lighter by 64 grey levels."""
    neutral = torch.zeros(1, 3, SIZE, SIZE)
    truth = neutral.clone()
    truth[..., 4:8, 4:8] += 0.25
    return neutral, truth


def test_measures_of_known_pictures() -> None:
    neutral, truth = faces()
    perfect = measure("x", truth, truth, neutral)
    assert (perfect.changed, perfect.whole, perfect.drift, perfect.cosine) == (0, 0, 0, pytest.approx(1))
    nothing = measure("x", neutral, truth, neutral)
    assert (nothing.changed, nothing.whole, nothing.drift, nothing.cosine) == (1, 1, 0, 0)
    half = measure("x", neutral + 0.5 * (truth - neutral), truth, neutral)
    assert (half.changed, half.whole, half.cosine) == (0.25, 0.25, pytest.approx(1))


def test_drift_is_what_happens_outside_the_changed_region() -> None:
    neutral, truth = faces()
    made = truth.clone()
    made[..., 12:, :] += 2 / 256  # 64 of the 220 pixels outside the patch and the ring around it
    drifted = measure("x", made, truth, neutral)
    assert drifted.drift == pytest.approx(2 * (64 / 220) ** 0.5)
    assert drifted.changed == 0
    assert drifted.whole == pytest.approx(64 * 4 / (16 * 64**2))


def test_pixel_arithmetic_is_exact_on_linear_expressions(held_out: str) -> None:
    torch.manual_seed(0)
    flow, pixels = validate(Glow(TINY), HeldOut.read(held_out))
    assert [row.expression for row in flow] == ["smile", "frown", "mean"]
    assert all(row.changed < 1e-9 and row.drift < 1e-4 and row.cosine > 0.999 for row in pixels)
    assert flow[2].whole == pytest.approx((flow[0].whole + flow[1].whole) / 2)


@pytest.mark.parametrize("kind", ["raw", "eps"])
def test_a_persons_own_expression_arrives_exactly(held_out: str, kind: str) -> None:
    torch.manual_seed(0)
    model = Glow(TINY)
    people = HeldOut.read(held_out)
    neutral, smile = (from_pixels(torch.from_numpy(p)) for p in (people.neutral, people.truth[:, 0].copy()))
    model.initialize(torch.cat([neutral, smile]))
    made = transfer(model, neutral, neutral, smile, 1.0, kind)  # type: ignore[arg-type]
    assert torch.allclose(made, smile, atol=1e-5)
    assert torch.allclose(transfer(model, neutral, neutral, smile, 0.0, kind), neutral, atol=1e-5)  # type: ignore[arg-type]


def test_what_the_actions_are_of_a_difference_is_read() -> None:
    torch.manual_seed(0)
    table = ActionTable(TINY)
    with torch.no_grad():
        for level in table.levels:
            level[:5] = torch.randn_like(level[:5])  # the others are not learned: of them nothing is read
    weights = torch.zeros(3, 52)
    weights[:, :5] = torch.rand(3, 5)
    expected = [direction.detach() for direction in table.directions(weights)]
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(table.read(expected), expected, strict=True))
    light = [torch.randn_like(level) for level in expected]
    left = [a - b for a, b in zip(light, table.read(light), strict=True)]
    for action in range(5):  # what is left out is at right angles to every action
        products = [(a[0] * level[action].detach()).sum() for a, level in zip(left, table.levels, strict=True)]
        assert abs(sum(products)) < 1e-2


def test_a_direction_that_is_read_takes_the_place_of_the_difference(held_out: str) -> None:
    torch.manual_seed(0)
    people = HeldOut.read(held_out)
    flow, _ = validate(Glow(TINY), people, read=lambda change: [0 * z for z in change])
    assert all((row.changed, row.whole) == pytest.approx((1, 1)) for row in flow)  # nothing was done


def test_pictures_show_what_they_say(held_out: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    people = HeldOut.read(held_out)
    draw_samples(Glow(TINY), tmp_path / "samples.png", rows=2, columns=4)
    draw_transfers(Glow(TINY), tmp_path / "transfers.png", people, "raw")
    with Image.open(tmp_path / "samples.png") as image:
        assert image.size == (2 * 4 * SIZE, 2 * 2 * SIZE)
    with Image.open(tmp_path / "transfers.png") as image:
        assert image.size == (2 * 7 * SIZE, 2 * 2 * SIZE)


def test_a_grid_is_in_reading_order(tmp_path: Path) -> None:
    grid = np.zeros((2, 3, 4, 4, 3), np.uint8)
    grid[...] = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1, 1) * 40
    save_grid(tmp_path / "grid.png", grid, zoom=1)
    with Image.open(tmp_path / "grid.png") as image:
        assert np.array_equal(np.asarray(image)[::4, ::4, 0], [[0, 40, 80], [120, 160, 200]])
