"""What one training run is, as a TOML file."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from flowxfer.bundle.config import GlowConfig
from flowxfer.errors import InputError, reason
from flowxfer.glow.model import LatentKind

Precision = Literal["float32", "bfloat16"]

__all__ = ["Precision", "TrainingConfig"]


@dataclass(frozen=True)
class TrainingConfig:
    """One training run: of the likelihood, and where ``pairs`` are given of the transfer beside it.

    Args:
        output: folder for the checkpoint, the weights, the logs and the pictures.
        faces: folder of aligned faces, searched with its subfolders; exclusive with ``pairs``.
        pairs: pattern of paired shards, such as ``"pairs/train_*.npy"`` (:class:`~flowxfer.glow.training.data.Pairs`).
        validation: paired .npy file of held-out people (:mod:`flowxfer.glow.training.validation`), or nothing.
        people: folder of people who were photographed neutral and with an expression, likewise to validate by.
        start: safetensors file with the weights to start from, of the architecture ``model``, or nothing.
        start_actions: the learned directions that belong to them, an ``actions.safetensors``, or nothing.
        model: the architecture, the table ``[model]`` of the file.
        device: of PyTorch, such as ``"cuda"``.
        precision: of the coupling nets; the weights, the flow's state and the exported model stay float32.
        compiled: whether a GPU's kernels are made by ``torch.compile``, which takes a minute and needs a C compiler.
        memory_gb: of a GPU, that the pictures of ``pairs`` may take; what has no room is not trained on.
        steps: length of the run, where ``minutes`` is 0.
        minutes: length of the run by the clock; how far such a run comes depends on the machine.
        batch: pictures that one step encodes; a transfer needs two of them.
        learning_rate: of Adam with betas (.9, .99), after ``warmup`` steps of linear growth.
        warmup: steps.
        final_rate: share of the learning rate at which the cosine ends.
        clip: greatest norm of the gradient.
        ema: decay of the moving average of the weights, which is what is exported.
        likelihood_only: share of a paired run, at its start, that trains the likelihood alone.
        transfer_weight: weight of the transfer loss beside bits per dimension.
        final_transfer_weight: to which it falls, linearly, over the last ``annealing`` of the run.
        annealing: share of the run.
        floor: share of the batch's mean change in the denominator of the transfer loss.
        weak_change_cap: greatest weight of a weak change beside a strong one in the transfer loss; 1 weighs all alike.
        outside: weight of what lies outside the region that an expression changes, in the transfer loss.
        gradients: weight there of the differences between neighbouring pixels.
        actions: share of the transfers that add a mixture of learned directions, one for each ARKit action, in place of
            a donor's difference (:mod:`flowxfer.glow.training.actions`).
        tones: share of the people whose pictures are all given other tones, so that no light is learned by heart.
        kind: latents that the transfer adds, ``"raw"`` or ``"eps"``.
        flips: whether pictures are mirrored at random, a person's and the donor's together.
        seed: of everything random; what a step draws depends on it and on the step's number only.
        log_steps: between rows of the log, which hold means over these steps.
        checkpoint_minutes: between checkpoints.
        validation_minutes: between validations, and between pictures.

    Raises:
        InputError: a value is out of range; the message names it.
    """

    output: str
    faces: str = ""
    pairs: str = ""
    validation: str = ""
    people: str = ""
    start: str = ""
    start_actions: str = ""
    model: GlowConfig = field(default_factory=GlowConfig)
    device: str = "cpu"
    precision: Precision = "float32"
    compiled: bool = True
    memory_gb: float = 20.0
    steps: int = 100_000
    minutes: float = 0.0
    batch: int = 32
    learning_rate: float = 1e-3
    warmup: int = 100
    final_rate: float = 0.01
    clip: float = 1.0
    ema: float = 0.998
    likelihood_only: float = 0.1
    transfer_weight: float = 1.0
    final_transfer_weight: float = 1.0
    annealing: float = 0.2
    floor: float = 0.5
    weak_change_cap: float = 1.0
    outside: float = 1.0
    gradients: float = 0.0
    actions: float = 0.0
    tones: float = 0.0
    kind: LatentKind = "raw"
    flips: bool = True
    seed: int = 0
    log_steps: int = 50
    checkpoint_minutes: float = 5.0
    validation_minutes: float = 10.0

    def __post_init__(self) -> None:
        if bool(self.faces) == bool(self.pairs):
            raise InputError(f"expected either faces or pairs, got faces={self.faces!r} and pairs={self.pairs!r}")
        for name in ("steps", "batch", "warmup", "log_steps"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in (
            "learning_rate",
            "clip",
            "floor",
            "outside",
            "memory_gb",
            "checkpoint_minutes",
            "validation_minutes",
        ):
            self._require(name, getattr(self, name) > 0, "more than 0")
        for name in ("minutes", "transfer_weight", "final_transfer_weight", "gradients", "seed"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        for name in ("final_rate", "ema", "likelihood_only", "annealing", "actions", "tones"):
            self._require(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        self._require("weak_change_cap", self.weak_change_cap >= 1, "at least 1")
        self._require("precision", self.precision in ("float32", "bfloat16"), '"float32" or "bfloat16"')
        self._require("kind", self.kind in ("raw", "eps"), '"raw" or "eps"')
        if self.pairs:
            self._require("batch", self.batch % 4 == 0, "a multiple of 4 (two people with two pictures each)")
            some = not self.actions or self.learned_transfers > 0
            self._require("actions", some, f"0, or enough for two of the batch's {self.batch // 2} transfers")

        elif self.actions or self.tones:
            raise InputError("expected actions and tones only where there are pairs, got those of a folder of faces")

    @property
    def learned_transfers(self) -> int:
        """How many transfers of a step add learned directions, an even number."""
        return 2 * round(self.actions * self.batch / 4)

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise InputError(f"expected {name} to be {expected}, got {getattr(self, name)!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingConfig:
        """Make the configuration that :meth:`to_dict` wrote; absent fields take their defaults.

        Raises:
            InputError: a field is unknown, missing, of the wrong type or out of range.
        """
        fields = {f.name: f.default for f in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - set(fields)):
            raise InputError(f"expected the fields {', '.join(fields)}, got also {', '.join(unknown)}")
        if "output" not in values:
            raise InputError('expected the field output, such as output = "runs/first"')
        arguments: dict[str, Any] = {}
        for name, value in values.items():
            if name == "model":
                if not isinstance(value, dict):
                    raise InputError(f"expected model to be a table, got {value!r}")
                arguments[name] = GlowConfig.from_dict(value)
                continue
            expected = str if name == "output" else type(fields[name])
            value = float(value) if expected is float and type(value) is int else value
            if type(value) is not expected:
                raise InputError(f"expected {name} to be a {expected.__name__}, got {value!r}")
            arguments[name] = value
        return cls(**arguments)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TrainingConfig:
        """Read a TOML file.

        Raises:
            InputError: the file cannot be read, is not TOML, or does not describe a run.
        """
        try:
            return cls.from_dict(tomllib.loads(Path(path).read_text("utf-8-sig")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
            raise InputError(f"expected a TOML file at {path}: {reason(error)}") from error
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
