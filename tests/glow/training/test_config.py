from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowxfer.errors import InputError
from flowxfer.glow import GlowConfig
from flowxfer.glow.training import TrainingConfig


def test_a_file_becomes_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('output = "out"\nfaces = "faces"\nminutes = 90\nema = 0.99\n[model]\nimage_size = 32\nlevels = 2\n')
    config = TrainingConfig.load(path)
    assert config == TrainingConfig(
        output="out", faces="faces", minutes=90.0, ema=0.99, model=GlowConfig(image_size=32, levels=2)
    )
    assert isinstance(config.minutes, float)


def test_to_dict_and_from_dict_are_inverse() -> None:
    config = TrainingConfig(output="out", pairs="*.npy", batch=12, model=GlowConfig(width=96))
    assert TrainingConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('faces = "f"', 'expected the field output, such as output = "runs/first"'),
        ('output = "o"', "expected either faces or pairs, got faces='' and pairs=''"),
        ('output = "o"\nfaces = "f"\npairs = "p"', "expected either faces or pairs, got faces='f' and pairs='p'"),
        ('output = "o"\nfaces = "f"\nrate = 1', "got also rate"),
        ('output = "o"\nfaces = "f"\nsteps = "9"', "expected steps to be a int, got '9'"),
        ('output = "o"\nfaces = "f"\nsteps = 0', "expected steps to be at least 1, got 0"),
        ('output = "o"\nfaces = "f"\nclip = 0', "expected clip to be more than 0, got 0.0"),
        ('output = "o"\nfaces = "f"\nminutes = -1', "expected minutes to be at least 0, got -1.0"),
        ('output = "o"\nfaces = "f"\nema = 1.5', "expected ema to be from 0 to 1, got 1.5"),
        ('output = "o"\nfaces = "f"\nweak_change_cap = 0.5', "expected weak_change_cap to be at least 1, got 0.5"),
        ('output = "o"\nfaces = "f"\nkind = "z"', """expected kind to be "raw" or "eps", got 'z'"""),
        ('output = "o"\nfaces = "f"\nprecision = "half"', 'expected precision to be "float32" or "bfloat16"'),
        ('output = "o"\npairs = "p"\nactions = 1.5', "expected actions to be from 0 to 1, got 1.5"),
        ('output = "o"\npairs = "p"\noutside = 0', "expected outside to be more than 0, got 0.0"),
        ('output = "o"\npairs = "p"\ngradients = -1', "expected gradients to be at least 0, got -1.0"),
        (
            'output = "o"\nfaces = "f"\ntones = 0.5',
            "expected actions and tones only where there are pairs, got those of",
        ),
        (
            'output = "o"\npairs = "p"\nbatch = 8\nactions = 0.1',
            "expected actions to be 0, or enough for two of the batch's 4 transfers, got 0.1",
        ),
        ('output = "o"\npairs = "p"\nbatch = 6', "expected batch to be a multiple of 4"),
        ('output = "o"\nfaces = "f"\n[model]\nlevels = 0', "expected levels of at least 1, got 0"),
        ('output = "o"\nfaces = "f"\nmodel = 3', "expected model to be a table, got 3"),
        ("output = ", "expected a TOML file at"),
    ],
)
def test_a_wrong_file_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        TrainingConfig.load(path)
    assert str(path) in str(raised.value)


def test_a_deeply_nested_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text("output = " + "[" * 100_000)
    with pytest.raises(InputError, match="expected a TOML file at .*deep.toml: maximum recursion depth exceeded"):
        TrainingConfig.load(tmp_path / "deep.toml")


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a TOML file at .*none.toml: .*No such file"):
        TrainingConfig.load(tmp_path / "none.toml")


def test_the_learned_share_of_transfers_is_of_whole_pairs() -> None:
    def learned(actions: float, batch: int = 128) -> int:
        return TrainingConfig(output="o", pairs="p", batch=batch, actions=actions).learned_transfers

    assert (learned(0), learned(1), learned(0.375), learned(0.5, 12)) == (0, 64, 24, 4)
    assert all(learned(share / 50) % 2 == 0 for share in range(51))
