"""Tiny faces, shards and configurations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flowxfer.directions.arkit import ACTIONS
from flowxfer.glow import GlowConfig
from flowxfer.glow.training import TrainingConfig

torch.set_num_threads(1)  # nets this small only wait for a second thread

SIZE = 16
TINY = GlowConfig(image_size=SIZE, levels=2, depth=2, width=8, bits=5)


def smooth_pictures(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random uint8 gradients (*shape, SIZE, SIZE, 3): pictures that can be learned."""
    corners = rng.uniform(40, 215, (*shape, 2, 2, 3))
    ramp = np.linspace(0, 1, SIZE)
    rows = corners[..., :1, :, :] + ramp[:, None, None] * (corners[..., 1:, :, :] - corners[..., :1, :, :])
    return np.round(rows[..., :1, :] + ramp[:, None] * (rows[..., 1:, :] - rows[..., :1, :])).astype(np.uint8)


def write_shard(
    path: Path,
    *,
    groups: int = 3,
    people: int = 3,
    expressions: int = 2,
    seed: int = 0,
    arrays: dict[str, Any] | None = None,
) -> None:
    """A paired shard: an expression adds a light square, at the strength in part; ``arrays`` go into its .npz."""
    rng = np.random.default_rng(seed)
    pictures = np.repeat(smooth_pictures(rng, groups, people)[:, :, None], 1 + 2 * expressions, 2)
    strengths = rng.uniform(0.3, 0.8, (groups, expressions)).astype(np.float32)
    for e in range(expressions):
        square = np.s_[:, :, :, 2 + 6 * e : 8 + 6 * e, 4:12]
        for column, alpha in ((1 + 2 * e, np.ones(groups)), (2 + 2 * e, strengths[:, e])):
            lighter = np.round(40 * alpha).astype(np.uint8).reshape(-1, 1, 1, 1, 1, 1)
            pictures[:, :, column : column + 1][square] += lighter
    np.save(path, pictures)
    np.savez(path.with_suffix(".npz"), strengths=strengths, **(arrays or {}))


JAW, SMILE_LEFT, SMILE_RIGHT = (ACTIONS.index(name) for name in ("jawOpen", "mouthSmileLeft", "mouthSmileRight"))


def write_photographs(path: Path, *, groups: int = 3, seed: int = 0, **changes: np.ndarray) -> None:
    """A shard whose people 2 and 3 of four are photographs; the first expression is an open jaw, the second a smile.

    Photograph 3 does not show the first expression: its pictures of it are black.
    """
    expressions = np.zeros((groups, 2, 52), np.float32)
    expressions[:, 0, JAW] = expressions[:, 1, SMILE_LEFT] = 1
    valid = np.ones((groups, 4, 2), bool)
    valid[:, 3, 0] = False
    arrays = {"expressions": expressions, "valid": valid, "people": np.array(2), **changes}
    write_shard(path, groups=groups, people=4, seed=seed, arrays=arrays)
    pictures = np.load(path)
    pictures[:, 3, 1:3] = 0
    np.save(path, pictures)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A folder with twelve pictures, two of them in a subfolder."""
    folder = tmp_path / "faces"
    (folder / "more").mkdir(parents=True)
    for index, picture in enumerate(smooth_pictures(np.random.default_rng(0), 12)):
        Image.fromarray(picture).save(folder / ("more" if index < 2 else ".") / f"{index}.png")
    return folder


@pytest.fixture
def shards(tmp_path: Path) -> str:
    """The pattern of two shards."""
    for index in range(2):
        write_shard(tmp_path / f"train_{index}.npy", seed=index)
    return str(tmp_path / "train_*.npy")


@pytest.fixture
def photographs(tmp_path: Path) -> str:
    """The pattern of two shards with photographs."""
    for index in range(2):
        write_photographs(tmp_path / f"photographs_{index}.npy", seed=index)
    return str(tmp_path / "photographs_*.npy")


@pytest.fixture
def held_out(tmp_path: Path) -> str:
    """A validation file: four people, two expressions at the strengths 0.5 and 1."""
    rng = np.random.default_rng(7)
    pictures = np.repeat(smooth_pictures(rng, 4)[:, None], 5, 1)
    pictures[:, 1, 2:8, 4:12] += 20
    pictures[:, 2, 2:8, 4:12] += 40
    pictures[:, 3, 8:14, 4:12] += 20
    pictures[:, 4, 8:14, 4:12] += 40
    np.save(tmp_path / "held_out.npy", pictures)
    np.savez(tmp_path / "held_out.npz", names=["smile", "frown"], strengths=[0.5, 1.0], seeds=range(4))
    return str(tmp_path / "held_out.npy")


@pytest.fixture
def paired(tmp_path: Path, shards: str) -> Callable[..., TrainingConfig]:
    """Make the configuration of a short paired run, with the fields given changed."""

    def make(**changes: Any) -> TrainingConfig:
        fields: dict[str, Any] = {
            "output": str(tmp_path / "run"),
            "pairs": shards,
            "model": TINY,
            "steps": 6,
            "batch": 8,
            "warmup": 2,
            "likelihood_only": 0.3,
            "log_steps": 1,
        }
        return TrainingConfig(**{**fields, **changes})

    return make
