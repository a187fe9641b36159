"""A Glow computed level by level: few large operations in place of many small ones, so that a GPU is kept busy.

The weights stay where they are, in the steps of the model that is trained. Once in a training step those of a level are
stacked and folded: ActNorm into the 1x1 matrix before it, a net's normalisations into its convolutions, and the ring of
OpenAI's padding into a bias that depends on the position. The state is (N, H, W, C), with which a 1x1 convolution is a
product, and a net's channels are padded to multiples of eight, which tensor cores demand.

A CUDA graph holds no factorisation of a matrix, so the inverses of the 1x1 matrices follow them by Newton's iteration
(Schulz 1933), ``X ← X (2 − W X)``: its error is the square of the one before, and training moves a matrix little.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from flowxfer.glow.model import Glow, Step
from flowxfer.glow.nets import edge_map

__all__ = ["StackedGlow"]

Net = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


class _Inverse(torch.autograd.Function):
    """The inverses of matrices, where they are known: the derivative of ``W⁻¹`` is ``−W⁻¹ dW W⁻¹``."""

    @staticmethod
    def forward(ctx: Any, matrices: Tensor, inverses: Tensor) -> Tensor:
        ctx.save_for_backward(inverses)
        return inverses.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        transposed = ctx.saved_tensors[0].mT
        return -(transposed @ gradient @ transposed), None


class _LogAbsDet(torch.autograd.Function):
    """The logarithms of matrices' absolute determinants, where they are known: the derivative is ``W⁻ᵀ``."""

    @staticmethod
    def forward(ctx: Any, matrices: Tensor, inverses: Tensor, values: Tensor) -> Tensor:
        ctx.save_for_backward(inverses)
        return values.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient[:, None, None] * ctx.saved_tensors[0].mT, None, None


def _net(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, w3: Tensor, b3: Tensor) -> Tensor:
    """The net of a coupling, (N, H, W, in) to (N, H, W, out) in the dtype of ``x``, computed in that of the weights."""
    h = functional.pad(x.to(w1.dtype), (0, w1.shape[1] - x.shape[-1])).permute(0, 3, 1, 2)
    h = functional.relu(functional.conv2d(h, w1, padding=1).permute(0, 2, 3, 1) + b1)
    h = functional.relu(functional.linear(h, w2) + b2)
    y = functional.conv2d(h.permute(0, 3, 1, 2), w3, padding=1).permute(0, 2, 3, 1)
    return (y[..., : b3.shape[-1]] + b3).to(x.dtype)


def _additive_forward(x: Tensor, matrix: Tensor, offset: Tensor, net: Net) -> tuple[Tensor, Tensor]:
    y1, y2 = functional.linear(x, matrix, offset).chunk(2, -1)
    return torch.cat([y1, y2 + _net(y1, *net)], -1), x.new_zeros(())


def _additive_inverse(y: Tensor, inverse: Tensor, bias: Tensor, net: Net) -> Tensor:
    y1, y2 = y.chunk(2, -1)
    return functional.linear(torch.cat([y1, y2 - _net(y1, *net)], -1), inverse) - bias


def _affine_forward(x: Tensor, matrix: Tensor, offset: Tensor, net: Net) -> tuple[Tensor, Tensor]:
    y1, y2 = functional.linear(x, matrix, offset).chunk(2, -1)
    shift, h = _net(y1, *net).chunk(2, -1)
    log_scale = functional.logsigmoid(h + 2)
    return torch.cat([y1, (y2 + shift) * torch.exp(log_scale)], -1), log_scale.flatten(1).sum(1)


def _affine_inverse(y: Tensor, inverse: Tensor, bias: Tensor, net: Net) -> Tensor:
    y1, y2 = y.chunk(2, -1)
    shift, h = _net(y1, *net).chunk(2, -1)
    x = torch.cat([y1, y2 * torch.exp(-functional.logsigmoid(h + 2)) - shift], -1)
    return functional.linear(x, inverse) - bias


_COUPLINGS = {"additive": (_additive_forward, _additive_inverse), "affine": (_affine_forward, _affine_inverse)}


class _Level:
    """The steps of one level, and what :meth:`fold` makes of their weights."""

    def __init__(self, steps: list[Step], size: int, coupling: str, precision: torch.dtype | None, compiled: bool):
        self.steps = steps
        self.size = size
        self.affine = coupling == "affine"
        self.precision = precision
        self.forward_step, self.inverse_step = _COUPLINGS[coupling]
        if compiled:
            self.forward_step = torch.compile(self.forward_step, dynamic=False)
            self.inverse_step = torch.compile(self.inverse_step, dynamic=False)
        matrices = self._matrices()
        self.inverses = torch.empty_like(matrices, dtype=torch.float64, requires_grad=False)
        self.log_abs_dets = self.inverses.new_empty(len(steps))
        self.invert()

    def _stack(self, weight: Callable[[Step], Tensor]) -> Tensor:
        return torch.stack([weight(step) for step in self.steps])

    def _matrices(self) -> Tensor:
        return self._stack(lambda step: step.conv1x1.matrix())

    @torch.no_grad()
    def invert(self) -> None:
        matrices = self._matrices().double()
        self.inverses.copy_(torch.linalg.inv(matrices))
        self.log_abs_dets.copy_(torch.linalg.slogdet(matrices)[1])

    @torch.no_grad()
    def follow(self) -> None:
        self.inverses.copy_(2 * self.inverses - self.inverses @ (self._matrices().double() @ self.inverses))

    def fold(self) -> None:
        matrices, bias = self._matrices(), self._stack(lambda step: step.actnorm.bias)
        logs = self._stack(lambda step: step.actnorm.logs)
        scale = torch.exp(3 * logs)
        known = self.inverses.to(matrices.dtype)
        folded = matrices * scale[:, None, :]
        self.matrix = folded.unbind(0)
        self.offset = (folded @ bias[:, :, None])[:, :, 0].unbind(0)
        self.inverse = (cast(Tensor, _Inverse.apply(matrices, known)) / scale[:, :, None]).unbind(0)  # type: ignore[no-untyped-call]
        self.bias = bias.unbind(0)
        values = self.log_abs_dets.to(matrices.dtype)
        log_abs_dets = cast(Tensor, _LogAbsDet.apply(matrices, known, values))  # type: ignore[no-untyped-call]
        self.log_det = self.size**2 * (3 * logs.sum() + log_abs_dets.sum())
        self.nets = self._nets(self.precision or matrices.dtype)

    def _nets(self, dtype: torch.dtype) -> list[Net]:
        """The weights of each step's :func:`_net`; those that its output is added to keep the dtype of the state."""
        stack = self._stack
        scale1, scale2 = (
            torch.exp(3 * stack(logs))
            for logs in (lambda s: s.coupling.net.conv1.actnorm.logs, lambda s: s.coupling.net.conv2.actnorm.logs)
        )
        scale3 = torch.exp(3 * stack(lambda s: s.coupling.net.conv3.logs))
        w1, b1 = self._convolution(
            stack(lambda s: s.coupling.net.conv1.weight),
            stack(lambda s: s.coupling.net.conv1.edge),
            stack(lambda s: s.coupling.net.conv1.actnorm.bias),
            scale1,
        )
        w2 = stack(lambda s: s.coupling.net.conv2.weight[:, :, 0, 0]) * scale2[:, :, None]
        b2 = stack(lambda s: s.coupling.net.conv2.actnorm.bias) * scale2
        w3, b3 = self._convolution(
            stack(lambda s: s.coupling.net.conv3.weight),
            stack(lambda s: s.coupling.net.conv3.edge),
            stack(lambda s: s.coupling.net.conv3.bias),
            scale3,
        )
        if self.affine:  # OpenAI's outputs are interleaved: shift, scale, shift, …
            w3, b3 = (torch.cat([x[..., 0::2], x[..., 1::2]], -1) for x in (w3.movedim(1, -1), b3))
            w3 = w3.movedim(-1, 1)
        w1 = functional.pad(w1, (0, 0, 0, 0, 0, -w1.shape[2] % 8)).to(dtype)
        w3 = functional.pad(w3, (0, 0, 0, 0, 0, 0, 0, -w3.shape[1] % 8)).to(dtype)
        w1s, w3s = ([x.contiguous(memory_format=torch.channels_last) for x in w.unbind(0)] for w in (w1, w3))
        columns = w1s, b1.to(dtype).unbind(0), w2.to(dtype).unbind(0), b2.to(dtype).unbind(0), w3s, b3.unbind(0)
        return list(zip(*columns, strict=True))

    def _convolution(self, weight: Tensor, edge: Tensor, bias: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Fold scale (K, O) into weights (K, O, I, 3, 3), and edge and bias into a field (K, H, W, O)."""
        field = edge_map(edge.flatten(0, 1), self.size, self.size).view(*scale.shape, self.size, self.size)
        field = (field + bias[:, :, None, None]) * scale[:, :, None, None]
        return weight * scale[:, :, None, None, None], field.permute(0, 2, 3, 1).contiguous()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_det = self.log_det.expand(len(x))
        for step in zip(self.matrix, self.offset, self.nets, strict=True):
            x, contribution = self.forward_step(x, *step)
            log_det = log_det + contribution
        return x, log_det

    def inverse_of(self, y: Tensor) -> Tensor:
        for step in reversed(list(zip(self.inverse, self.bias, self.nets, strict=True))):
            y = self.inverse_step(y, *step)
        return y


class StackedGlow(Glow):
    """Computes what ``model`` computes, of which it shares the weights: whoever trains the one trains the other.

    After every change of the weights, :meth:`invert` or :meth:`follow` has to be called, and then :meth:`fold`, whose
    result one backward pass may go through.

    Args:
        model: for pictures of the size that it is configured for, and no other.
        precision: of the coupling nets, such as ``torch.bfloat16``; None for the weights' own.
        compiled: whether ``torch.compile`` makes kernels of the levels' steps.
    """

    def __init__(self, model: Glow, *, precision: torch.dtype | None = None, compiled: bool = False) -> None:
        nn.Module.__init__(self)
        self.config, self.squeeze = model.config, model.squeeze
        self.levels, self.splits, self.prior = model.levels, model.splits, model.prior
        sizes = [self.config.image_size >> (level + 1) for level in range(self.config.levels)]
        self._stacks = [
            _Level(model.steps(level), size, self.config.coupling, precision, compiled)
            for level, size in enumerate(sizes)
        ]

    def invert(self) -> None:
        """Invert the 1x1 matrices, in float64."""
        for stack in self._stacks:
            stack.invert()

    def follow(self) -> None:
        """Let the inverses follow their matrices by one Newton step; log-determinants are those of the last inversion.

        Their gradients are right, which is what training needs.
        """
        for stack in self._stacks:
            stack.follow()

    def fold(self) -> None:
        """Stack and fold the weights."""
        for stack in self._stacks:
            stack.fold()

    def forward_steps(self, level: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`Glow.forward_steps`, with the folded weights."""
        y, log_det = self._stacks[level].forward(x.permute(0, 2, 3, 1).contiguous())
        return y.permute(0, 3, 1, 2), log_det

    def inverse_steps(self, level: int, y: Tensor) -> Tensor:
        """As :meth:`Glow.inverse_steps`, with the folded weights."""
        return self._stacks[level].inverse_of(y.permute(0, 2, 3, 1).contiguous()).permute(0, 3, 1, 2)
