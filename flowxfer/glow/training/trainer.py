"""One training run: what its next step sees and how far it goes, and how it is kept and taken up again."""

from __future__ import annotations

import math
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowxfer.errors import DivergenceError, InputError, WeightsError, reason
from flowxfer.glow import weights
from flowxfer.glow.model import Glow
from flowxfer.glow.pixels import from_pixels
from flowxfer.glow.training import schedule
from flowxfer.glow.training.actions import ACTIONS_FILE, ActionTable
from flowxfer.glow.training.checkpoints import load_checkpoint, save_checkpoint
from flowxfer.glow.training.config import TrainingConfig
from flowxfer.glow.training.data import Faces, Pairs, Transfers
from flowxfer.glow.training.step import Figures, TrainingStep
from flowxfer.glow.training.stores import DeviceStore

__all__ = ["Figures", "Trainer"]

INITIALIZATION_PICTURES = 128
REFRESH_STEPS = 25  # after which new shards are looked for


class Trainer:
    """The state of a run and its one operation, :meth:`advance`.

    Raises:
        InputError: the data cannot be used.
        WeightsError: ``config.start`` or ``config.start_actions`` cannot be read, or is of another architecture.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.device = torch.device(config.device)
        self.source = self._open_source()
        self.step = 0
        self._seconds_before = 0.0
        self._started: float | None = None
        self._reader = ThreadPoolExecutor(1)
        self._read: tuple[tuple[int, bool], Future[Tensor | Transfers]] | None = None
        model = self._first_model().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._take = TrainingStep(config, model, self._first_table())
        self.model, self.average, self.average_table = model, self._take.average, self._take.average_table
        self.optimizer = self._take.optimizer

    @property
    def seconds(self) -> float:
        """Time spent on this run: neither interruptions nor first steps, in which a GPU's kernels are made, count."""
        return self._seconds_before + (0.0 if self._started is None else time.monotonic() - self._started)

    @property
    def progress(self) -> float:
        """Share of the run that is done; 1 or more when it is over."""
        return self._progress(self.step)

    def _progress(self, step: int) -> float:
        return self.seconds / (60 * self.config.minutes) if self.config.minutes else step / self.config.steps

    def _open_source(self) -> Faces | Pairs:
        config, size = self.config, self.config.model.image_size
        if not config.pairs:
            return Faces(config.faces, size)
        recorded = self.device.type == "cuda"
        pairs = Pairs(config.pairs, size, DeviceStore(size, self.device, config.memory_gb * 1e9) if recorded else None)
        if config.learned_transfers and not any(shard.expressions.any() for shard in pairs.shards.values()):
            raise InputError(
                f"expected expressions in the .npz files of {config.pairs}, which actions are learned from"
            )
        return pairs

    def _first_model(self) -> Glow:
        if self.config.start:
            model = weights.load(self.config.start).train()
            if model.config != self.config.model:
                raise WeightsError(f"expected a {self.config.model} in {self.config.start}, got a {model.config}")
            return model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            model = Glow(self.config.model)
            rng = np.random.default_rng((self.config.seed, 0, 1))
            pixels = self.source.batch(INITIALIZATION_PICTURES, rng, flips=self.config.flips)
            images = from_pixels(pixels.to(self.device))
            noise = (torch.rand(images.shape) - 0.5) / 2**self.config.model.bits
            model.to(self.device).initialize(images + noise.to(self.device))
        return model

    def _first_table(self) -> ActionTable | None:
        if not self.config.learned_transfers:
            return None
        path, model = self.config.start_actions, self.config.model
        return (ActionTable.load(path, model) if path else ActionTable(model)).to(self.device)

    def _draw(self, step: int, paired: bool) -> Tensor | Transfers:
        rng = np.random.default_rng((self.config.seed, step))
        if isinstance(self.source, Pairs):
            if step % REFRESH_STEPS == 0:
                self.source.refresh()
            if paired:
                count = self.config.batch // 2
                return self.source.transfers(count, rng, flips=self.config.flips, tones=self.config.tones)
        return self.source.batch(self.config.batch, rng, flips=self.config.flips)

    def _batch(self, step: int, paired: bool) -> Tensor | Transfers:
        """Return the step's pictures, and begin to read the next step's."""
        ahead = self._read
        batch = ahead[1].result() if ahead and ahead[0] == (step, paired) else self._draw(step, paired)
        if self._started is not None:  # while a GPU records its first step, nothing else may use it
            following = step + 1, self._paired(schedule.transfer_weight(self.config, self._progress(step + 1)))
            self._read = following, self._reader.submit(self._draw, *following)
        return batch

    def _paired(self, weight: float) -> bool:
        """Whether a step sees transfers; all steps of a GPU do, which records one kind."""
        return weight > 0 or self.device.type == "cuda"

    def advance(self) -> Figures:
        """Take one step.

        Raises:
            DivergenceError: the gradient is not finite; the weights are those from before the step.
        """
        config, progress = self.config, self.progress
        rate = schedule.learning_rate(config, self.step, progress)
        weight = schedule.transfer_weight(config, progress)
        decay = schedule.ema_decay(config, self.step)
        batch = self._batch(self.step, self._paired(weight))
        figures = self._take(batch, self.step, rate=rate, weight=weight, decay=decay)
        if not math.isfinite(figures.gradient_norm):
            raise DivergenceError(self._divergence(figures))
        self.step += 1
        if self._started is None:
            self._started = time.monotonic()
        return figures

    @property
    def checkpoint(self) -> Path:
        """The file that :meth:`save` writes."""
        return Path(self.config.output) / "checkpoint.pt"

    def _divergence(self, figures: Figures) -> str:
        saved = self.checkpoint.exists()
        way_out = f"resume from {self.checkpoint}" if saved else "there is no checkpoint, start again"
        return (
            f"training diverged in step {self.step}: bits per dimension {figures.bits_per_dimension:.4g}, transfer loss"
            f" {figures.transfer:.4g}, gradient norm {figures.gradient_norm}; {way_out} with a lower learning_rate"
        )

    def save(self) -> None:
        """Write the checkpoint, and beside it what is exported: the averaged weights as ``model.safetensors``.

        Averaged directions are written too, as ``actions.safetensors``.
        """
        state = {**self._take.state(), "config": self.config.to_dict(), "step": self.step, "seconds": self.seconds}
        save_checkpoint(self.checkpoint, state)
        path = self.checkpoint.with_name("model.safetensors")
        weights.save(self.average, path)
        if self.average_table is not None:
            self.average_table.save(path.with_name(ACTIONS_FILE), weights=path, kind=self.config.kind)

    def restore(self) -> None:
        """Continue where :meth:`save` left off; on a CPU to the bit, where the length of the run is in steps.

        Raises:
            WeightsError: the checkpoint is missing, damaged or of another architecture.
        """
        state = load_checkpoint(self.checkpoint)
        model = state["config"].get("model") if isinstance(state["config"], dict) else None
        if model != self.config.model.to_dict():
            raise WeightsError(f"expected a checkpoint of {self.config.model} at {self.checkpoint}, got {model}")
        try:
            self._take.load(state)
            self.step, self._seconds_before = int(state["step"]), float(state["seconds"])
        except Exception as error:  # whatever a state that was tampered with makes of PyTorch
            raise WeightsError(f"expected the state of a run at {self.checkpoint}, but {reason(error)}") from error
        self._started = None
