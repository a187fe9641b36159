"""One training step: from pictures to losses, gradients and moved weights, without a look at any result.

It reads tensors and writes tensors that stay where they are, so that a GPU can record it.
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from flowxfer.glow.model import Glow
from flowxfer.glow.pixels import from_pixels
from flowxfer.glow.training.actions import ActionTable
from flowxfer.glow.training.config import TrainingConfig
from flowxfer.glow.training.data import Transfers
from flowxfer.glow.training.losses import likelihood_loss, paired_terms
from flowxfer.glow.training.recording import Recording
from flowxfer.glow.training.stacked import StackedGlow
from flowxfer.glow.training.tones import apply_tones

__all__ = ["Figures", "TrainingStep"]

EXACT_STEPS = 40  # of a recorded run, after which the 1x1 matrices are inverted anew


@dataclass(frozen=True)
class Figures:
    """What one step reports: the losses before it, and how it went; what no picture of it tells is not a number.

    Args:
        bits_per_dimension: of all pictures.
        transfer: error of all transfers, in units of doing nothing.
        gradient_norm: before it was clipped.
        learning_rate: that the step took.
        transfer_weight: likewise.
        bits_photographs: as ``bits_per_dimension``, of neutral photographs alone.
        donors: as ``transfer``, of rendered people who receive from a donor.
        donors_photographs: of photographs that do.
        actions: of rendered people who receive by learned directions.
        actions_photographs: of photographs that do.
    """

    bits_per_dimension: float
    transfer: float
    gradient_norm: float
    learning_rate: float
    transfer_weight: float
    bits_photographs: float = math.nan
    donors: float = math.nan
    donors_photographs: float = math.nan
    actions: float = math.nan
    actions_photographs: float = math.nan


def _parameters(*modules: nn.Module | None) -> list[Tensor]:
    return list(itertools.chain.from_iterable(module.parameters() for module in modules if module is not None))


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values; not a number where none is."""
    return (values * chosen).sum() / chosen.sum()


class TrainingStep:
    """The weights of a run, their moving average, the optimiser, and what moves them all.

    Args:
        config: of the run.
        model: its weights, on the run's device.
        table: learned directions that are trained with them.
    """

    def __init__(self, config: TrainingConfig, model: Glow, table: ActionTable | None) -> None:
        self.config, self.model, self.table = config, model, table
        self.average, self.average_table = copy.deepcopy(model).eval(), copy.deepcopy(table)
        self.device = torch.device(config.device)
        recorded = self.device.type == "cuda"
        precision = torch.bfloat16 if config.precision == "bfloat16" else None
        self.flow = StackedGlow(model, precision=precision, compiled=recorded and config.compiled)
        trained = [p.requires_grad for p in _parameters(model, table)]
        self._parameters = list(itertools.compress(_parameters(model, table), trained))
        self._averages = list(itertools.compress(_parameters(self.average, self.average_table), trained))
        self._rate, self._weight, self._share, self._hold = torch.zeros(4, device=self.device).unbind(0)
        self.optimizer = torch.optim.Adam(
            self._parameters, self._rate, betas=(0.9, 0.99), fused=True, capturable=recorded
        )
        self._exact_steps = EXACT_STEPS if recorded else 1
        self._inputs: dict[str, Tensor] = {}
        self._results = torch.zeros(8, device=self.device)
        self._generator = torch.Generator(self.device)
        self._run = Recording(self._take, self._hold)

    def __call__(self, batch: Tensor | Transfers, number: int, *, rate: float, weight: float, decay: float) -> Figures:
        """Take a step; where the gradient is not finite, the weights stay as they are.

        Args:
            batch: pictures, whose likelihood alone is trained, or transfers; all those of a recorded run are of one
                kind and number.
            number: of the step, on which the noise depends.
            rate: of learning.
            weight: of the transfer beside the likelihood.
            decay: of the moving average.
        """
        self._set_inputs(batch, number)
        for scalar, value in ((self._rate, rate), (self._weight, weight), (self._share, 1 - decay)):
            scalar.fill_(value)
        if number % self._exact_steps == 0:
            self.flow.invert()
        self._run()
        bits, transfer, norm, *others = self._results.tolist()
        return Figures(bits, transfer, norm, rate, weight, *others)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        tables = self.table, self.average_table
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "actions": [table.state_dict() for table in tables if table is not None],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state` gave; PyTorch and Python raise what they like where it is something else."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        tables = [table for table in (self.table, self.average_table) if table is not None]
        for table, values in zip(tables, state["actions"], strict=True):
            table.load_state_dict(values)
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate
        self.flow.invert()

    def _set_inputs(self, batch: Tensor | Transfers, number: int) -> None:
        if isinstance(batch, Transfers):
            values = {name: torch.as_tensor(value) for name, value in vars(batch).items()}
        else:
            values = {"pictures": batch}
        shape = next(iter(values.values())).shape
        self._generator.manual_seed((self.config.seed << 32) + number)
        values["noise"] = torch.rand(shape, generator=self._generator, device=self.device)
        if values.keys() != self._inputs.keys():
            self._inputs = {name: torch.empty_like(value, device=self.device) for name, value in values.items()}
        for name, value in values.items():
            self._inputs[name].copy_(value)

    def _take(self) -> None:
        if self._exact_steps > 1:
            self.flow.follow()
        self.flow.fold()
        for parameter in self._parameters:
            parameter.grad = None
        loss, results = self._paired() if "neutral" in self._inputs else self._likelihood()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self.config.clip)
        held = torch.maximum(self._hold, (~norm.isfinite()).to(self._hold.dtype))
        self.optimizer.found_inf = held  # type: ignore[attr-defined] # as torch.amp.GradScaler tells it to stay
        self.optimizer.step()
        self._update_average(held)
        results.insert(2, norm)
        self._results.copy_(torch.stack(results).detach())

    @torch.no_grad()
    def _update_average(self, held: Tensor) -> None:
        changes = torch._foreach_sub(self._parameters, self._averages)
        torch._foreach_mul_(changes, self._share * (1 - held))
        torch._foreach_add_(self._averages, changes)

    def _images(self, pictures: Tensor) -> Tensor:
        """Dequantised images; the noise is as wide as a bin."""
        images = from_pixels(pictures)
        if self.config.tones and "tones" in self._inputs:
            images = apply_tones(images, self._inputs["tones"])
        noise = self._inputs["noise"].permute(0, 3, 1, 2) - 0.5
        return images + noise / (1 << self.config.model.bits)

    def _likelihood(self) -> tuple[Tensor, list[Tensor]]:
        bits = likelihood_loss(self.flow, self._images(self._inputs["pictures"]))
        return bits, [bits, *bits.new_full((6,), math.nan).unbind(0)]

    def _paired(self) -> tuple[Tensor, list[Tensor]]:
        config, inputs = self.config, self._inputs
        count = len(inputs["strength"])
        performed = count - config.learned_transfers
        directions = () if self.table is None else self.table.directions(inputs["actions"][performed:])
        neutral, expression, target = (self._images(inputs[name]) for name in ("neutral", "expression", "target"))
        bits, errors = paired_terms(
            self.flow,
            neutral,
            expression,
            target,
            inputs["strength"],
            kind=config.kind,
            floor=config.floor,
            weak_change_cap=config.weak_change_cap,
            outside=config.outside,
            gradients=config.gradients,
            directions=directions,
        )
        photographs = inputs["photographs"].to(errors.dtype)
        parts = [_mean(bits[:count], photographs)]
        for part in (slice(performed), slice(performed, count)):
            parts += [_mean(errors[part], chosen[part]) for chosen in (1 - photographs, photographs)]
        return bits.mean() + self._weight * errors.mean(), [bits.mean(), errors.mean(), *parts]
