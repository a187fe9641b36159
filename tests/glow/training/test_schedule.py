from __future__ import annotations

import pytest

from flowxfer.glow.training import TrainingConfig
from flowxfer.glow.training.schedule import ema_decay, learning_rate, transfer_weight

CONFIG = TrainingConfig(
    output="out",
    pairs="p",
    learning_rate=1e-3,
    warmup=100,
    final_rate=0.1,
    likelihood_only=0.25,
    transfer_weight=2.0,
    final_transfer_weight=0.5,
    annealing=0.5,
    ema=0.9,
)


@pytest.mark.parametrize(
    ("step", "progress", "expected"),
    [
        (0, 0.0, 1e-5),  # the first of a hundred steps of warm-up
        (49, 0.0, 5e-4),
        (99, 0.0, 1e-3),
        (1000, 0.5, 5.5e-4),  # 0.1 + 0.9 / 2
        (1000, 1 / 3, 7.75e-4),  # 0.1 + 0.9 · (1 + cos 60°) / 2
        (1000, 1.0, 1e-4),
        (1000, 1.5, 1e-4),
    ],
)
def test_learning_rate(step: int, progress: float, expected: float) -> None:
    assert learning_rate(CONFIG, step, progress) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 0.0), (0.24, 0.0), (0.25, 2.0), (0.5, 2.0), (0.75, 1.25), (1.0, 0.5), (1.2, 0.5)]
)
def test_transfer_weight(progress: float, expected: float) -> None:
    assert transfer_weight(CONFIG, progress) == pytest.approx(expected)


def test_without_pairs_there_is_no_transfer() -> None:
    assert transfer_weight(TrainingConfig(output="out", faces="f"), 0.5) == 0


def test_without_annealing_the_weight_stays() -> None:
    assert transfer_weight(TrainingConfig(output="out", pairs="p", annealing=0.0, transfer_weight=3.0), 1.0) == 3


def test_the_average_forgets_its_random_start() -> None:
    assert [ema_decay(CONFIG, step) for step in (0, 10, 10_000)] == [0.1, pytest.approx(11 / 20), 0.9]
