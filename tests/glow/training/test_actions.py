from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from flowxfer.directions.arkit import ACTIONS, mirrored
from flowxfer.errors import InputError, WeightsError
from flowxfer.glow import Glow, GlowConfig
from flowxfer.glow.training import Trainer, TrainingConfig, train
from flowxfer.glow.training.actions import ActionTable
from tests.glow.training.conftest import JAW, SIZE, SMILE_LEFT, SMILE_RIGHT, TINY

Paired = Callable[..., TrainingConfig]


def test_a_row_moves_the_picture_where_it_is_asked_for() -> None:
    torch.manual_seed(0)
    model, table = Glow(TINY), ActionTable(TINY)
    latents = model.encode(torch.rand(2, 3, SIZE, SIZE) - 0.5, "raw")

    def decoded(weights: torch.Tensor) -> torch.Tensor:
        moved = zip(latents, table.directions(weights), strict=True)
        return model.decode([z + change for z, change in moved], "raw")

    jaw = torch.eye(52)[[JAW, JAW]]
    with torch.no_grad():
        assert torch.equal(decoded(jaw), decoded(torch.zeros(2, 52)))  # it has learned nothing
        for level in table.levels:
            level[JAW] += 0.1
        assert ((decoded(jaw) - decoded(torch.zeros(2, 52))).flatten(1).norm(dim=1) > 0.1).all()
        assert torch.equal(decoded(torch.eye(52)[[SMILE_LEFT] * 2]), decoded(torch.zeros(2, 52)))
        half = zip(table.directions(0.5 * jaw), table.directions(jaw), strict=True)
        assert all(torch.allclose(a, 0.5 * b) for a, b in half)


def test_mirrored_actions_are_those_of_the_other_side() -> None:
    weights = np.eye(52)
    assert np.array_equal(mirrored(weights[SMILE_LEFT]), weights[SMILE_RIGHT])
    assert np.array_equal(mirrored(weights[JAW]), weights[JAW])
    assert np.array_equal(mirrored(mirrored(weights)), weights)


def test_actions_are_learned_from_what_shows_them(paired: Paired, photographs: str) -> None:
    config = paired(
        pairs=photographs, actions=0.5, steps=150, likelihood_only=0.0, learning_rate=3e-3, batch=16, flips=False
    )
    losses: list[float] = []
    train(config, on_step=lambda step, figures: losses.append(figures.actions))
    assert np.nanmean(losses[-30:]) < 0.5 * np.nanmean(losses[:10])
    folder = Path(config.output)
    with safe_open(folder / "actions.safetensors", framework="pt") as file:
        header = file.metadata()
        levels = [file.get_tensor(f"level{index}") for index in range(2)]
    assert [tuple(level.shape) for level in levels] == [(52, 6, 8, 8), (52, 24, 4, 4)]
    assert all(level.dtype == torch.float16 for level in levels)
    energy = sum(level.float().flatten(1).square().sum(1) for level in levels)
    assert set(torch.argwhere(energy > 0).flatten().tolist()) == {JAW, SMILE_LEFT}
    assert json.loads(header["flowxfer.actions"]) == list(ACTIONS)
    assert header["flowxfer.weights"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert header["flowxfer.latents"] == "raw"


def test_what_was_learned_is_gone_on_from(paired: Paired, photographs: str) -> None:
    config = paired(pairs=photographs, actions=0.5, steps=3)
    path = Path(train(config)).with_name("actions.safetensors")
    again = Trainer(paired(pairs=photographs, actions=0.5, start_actions=str(path)))
    with safe_open(path, framework="pt") as file:
        for index, level in enumerate(again._take.table.levels):  # type: ignore[union-attr]
            assert torch.equal(level.detach(), file.get_tensor(f"level{index}").float())


def test_directions_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "actions.safetensors"
    with pytest.raises(
        WeightsError, match=r"expected a file of directions at .*, but it cannot be read: .*No such file"
    ):
        ActionTable.load(path, TINY)
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"expected a file of directions at .*, but it cannot be read"):
        ActionTable.load(path, TINY)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"")
    ActionTable(TINY).save(path, weights=weights, kind="raw")
    ActionTable.load(path, TINY)
    other = GlowConfig(image_size=SIZE, levels=1, depth=2, width=8)
    with pytest.raises(WeightsError, match=re.escape(f"for a {other} in {path}, got others")):
        ActionTable.load(path, other)
    save_file({"level0": torch.zeros(52, 6, 8, 8), "level1": torch.zeros(52, 24, 4, 4)}, path)
    with pytest.raises(WeightsError, match="expected directions of the 52 ARKit actions"):
        ActionTable.load(path, TINY)


def test_actions_need_expressions_to_learn_from(paired: Paired) -> None:
    with pytest.raises(
        InputError, match=r"expected expressions in the .npz files of .*, which actions are learned from"
    ):
        Trainer(paired(actions=0.5))
