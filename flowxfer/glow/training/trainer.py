"""One training run: its weights, its optimiser, and the step that moves them."""

from __future__ import annotations

import copy
import math
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowxfer.errors import DivergenceError, WeightsError, reason
from flowxfer.glow import weights
from flowxfer.glow.model import Glow
from flowxfer.glow.pixels import from_pixels
from flowxfer.glow.training import schedule
from flowxfer.glow.training.checkpoints import load_checkpoint, save_checkpoint
from flowxfer.glow.training.config import TrainingConfig
from flowxfer.glow.training.data import Faces, Pairs, Pixels, Transfers
from flowxfer.glow.training.losses import likelihood_loss, paired_losses

__all__ = ["Figures", "Trainer"]

INITIALIZATION_PICTURES = 128


@dataclass(frozen=True)
class Figures:
    """What one step reports: the losses before it, and how it went.

    ``transfer`` is not a number in a step that trained the likelihood alone.
    """

    bits_per_dimension: float
    transfer: float
    gradient_norm: float
    learning_rate: float
    transfer_weight: float


class Trainer:
    """The state of a run and its one operation, :meth:`advance`.

    Raises:
        InputError: the data cannot be used.
        WeightsError: ``config.start`` cannot be read or holds another architecture.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.device = torch.device(config.device)
        size = config.model.image_size
        self.source = Pairs(config.pairs, size) if config.pairs else Faces(config.faces, size)
        self.step = 0
        self._seconds_before = 0.0
        self._started = time.monotonic()
        self._generator = torch.Generator(self.device)
        self._reader = ThreadPoolExecutor(1)
        self._read: tuple[tuple[int, bool], Future[Pixels | Transfers]] | None = None
        self.model = self._first_model().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model).eval()
        if config.precision == "bfloat16":
            self.model.set_net_precision(torch.bfloat16)
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(parameters, config.learning_rate, betas=(0.9, 0.99), fused=True)

    @property
    def seconds(self) -> float:
        """Time spent on this run, interruptions not counted."""
        return self._seconds_before + time.monotonic() - self._started

    @property
    def progress(self) -> float:
        """Share of the run that is done; 1 or more when it is over."""
        return self._progress(self.step)

    def _progress(self, step: int) -> float:
        return self.seconds / (60 * self.config.minutes) if self.config.minutes else step / self.config.steps

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
            pixels = torch.from_numpy(self.source.batch(INITIALIZATION_PICTURES, rng, flips=self.config.flips))
            images = from_pixels(pixels)
            model.initialize(images + (torch.rand(images.shape) - 0.5) / 2**self.config.model.bits)
        return model

    def _draw(self, step: int, paired: bool) -> Pixels | Transfers:
        rng = np.random.default_rng((self.config.seed, step))
        if paired and isinstance(self.source, Pairs):
            return self.source.transfers(self.config.batch // 2, rng, flips=self.config.flips)
        return self.source.batch(self.config.batch, rng, flips=self.config.flips)

    def _batch(self, step: int, paired: bool) -> Pixels | Transfers:
        """Return the step's pictures, and begin to read the next step's."""
        ahead = self._read
        batch = ahead[1].result() if ahead and ahead[0] == (step, paired) else self._draw(step, paired)
        following = step + 1, schedule.transfer_weight(self.config, self._progress(step + 1)) > 0
        self._read = following, self._reader.submit(self._draw, *following)
        return batch

    def _images(self, pixels: Pixels, noise: Tensor) -> Tensor:
        return from_pixels(torch.from_numpy(pixels).to(self.device)) + noise

    def _losses(self, batch: Pixels | Transfers) -> tuple[Tensor, Tensor | None]:
        """Bits per dimension and, of transfers, the transfer loss; the noise is as wide as a bin."""
        config = self.config
        pictures = batch.neutral if isinstance(batch, Transfers) else batch
        self._generator.manual_seed((config.seed << 32) + self.step)
        noise = torch.rand(pictures.shape, generator=self._generator, device=self.device).permute(0, 3, 1, 2)
        noise = (noise - 0.5) / 2**config.model.bits
        if not isinstance(batch, Transfers):
            return likelihood_loss(self.model, self._images(batch, noise)), None
        return paired_losses(
            self.model,
            self._images(batch.neutral, noise),
            self._images(batch.expression, noise),
            self._images(batch.target, noise),
            torch.from_numpy(batch.strength).to(self.device),
            kind=config.kind,
            floor=config.floor,
            weak_change_cap=config.weak_change_cap,
        )

    def advance(self) -> Figures:
        """Take one step.

        Raises:
            DivergenceError: the gradient is not finite; the weights are those from before the step.
        """
        config, progress = self.config, self.progress
        rate = schedule.learning_rate(config, self.step, progress)
        weight = schedule.transfer_weight(config, progress)
        bits, transfer = self._losses(self._batch(self.step, weight > 0))
        loss = bits if transfer is None else bits + weight * transfer
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip))
        losses = float(bits.detach()), math.nan if transfer is None else float(transfer.detach())
        if not math.isfinite(norm):
            raise DivergenceError(self._divergence(*losses, norm))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self._update_average()
        self.step += 1
        return Figures(*losses, norm, rate, weight)

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = schedule.ema_decay(self.config, self.step)
        for average, parameter in zip(self.average.parameters(), self.model.parameters(), strict=True):
            average.lerp_(parameter, 1 - decay)

    @property
    def checkpoint(self) -> Path:
        """The file that :meth:`save` writes."""
        return Path(self.config.output) / "checkpoint.pt"

    def _divergence(self, bits: float, transfer: float, norm: float) -> str:
        saved = self.checkpoint.exists()
        way_out = f"resume from {self.checkpoint}" if saved else "there is no checkpoint, start again"
        return (
            f"training diverged in step {self.step}: bits per dimension {bits:.4g}, transfer loss {transfer:.4g},"
            f" gradient norm {norm}; {way_out} with a lower learning_rate"
        )

    def save(self) -> None:
        """Write the checkpoint, and the averaged weights as ``model.safetensors`` beside it."""
        state: dict[str, Any] = {
            "config": self.config.to_dict(),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        save_checkpoint(self.checkpoint, state)
        weights.save(self.average, self.checkpoint.with_name("model.safetensors"))

    def restore(self) -> None:
        """Continue where :meth:`save` left off, to the bit where the length of the run is in steps.

        Raises:
            WeightsError: the checkpoint is missing, damaged or of another architecture.
        """
        state = load_checkpoint(self.checkpoint)
        model = state["config"].get("model") if isinstance(state["config"], dict) else None
        if model != self.config.model.to_dict():
            raise WeightsError(f"expected a checkpoint of {self.config.model} at {self.checkpoint}, got {model}")
        try:
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self._seconds_before = int(state["step"]), float(state["seconds"])
        except Exception as error:  # whatever a state that was tampered with makes of PyTorch
            raise WeightsError(f"expected the state of a run at {self.checkpoint}, but {reason(error)}") from error
        self._started = time.monotonic()
