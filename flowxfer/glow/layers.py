"""The invertible layers of Glow.

Each has ``forward(x) -> (y, log_det)`` and ``inverse(y) -> x``. ``x`` is (N, C, H, W), ``log_det`` is (N,): the natural
logarithm of the absolute determinant of the Jacobian, per sample. Section numbers are those of the Glow
paper (https://arxiv.org/abs/1807.03039); the arithmetic is that of OpenAI's released code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from flowxfer.glow.nets import ActNormScale, CouplingNet, EdgeConv2d, edge_map

__all__ = [
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "InvertibleConv1x1",
    "InvertibleConv1x1LU",
    "Split",
    "Squeeze",
    "TopPrior",
]


def _zeros(x: Tensor) -> Tensor:
    return x.new_zeros(len(x))


class Squeeze(nn.Module):
    """Trade space for channels: (N, C, H, W) to (N, 4C, H/2, W/2), channel ``c·4 + dy·2 + dx``."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Squeeze; a permutation, so its log_det is zero."""
        return functional.pixel_unshuffle(x, 2), _zeros(x)

    def inverse(self, y: Tensor) -> Tensor:
        """Unsqueeze."""
        return functional.pixel_shuffle(y, 2)


class ActNorm(ActNormScale):
    """Per-channel affine map ``(x + bias) · exp(3 · logs)`` (section 3.1)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise; in data-dependent initialisation, to mean 0 and variance 1 on this batch."""
        self.observe(x)
        scale = self.scale()
        y = (x + self.bias[:, None, None]) * scale[:, None, None]
        return y, (3 * self.logs.sum() * x.shape[2] * x.shape[3]).expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        """Undo :meth:`forward`."""
        return y / self.scale()[:, None, None] - self.bias[:, None, None]


class InvertibleConv1x1(nn.Module):
    """A learned rotation of the channels, ``y = weight @ x`` at each pixel (section 3.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linalg.qr(torch.randn(channels, channels))[0])

    def matrix(self) -> Tensor:
        """The (C, C) matrix."""
        return self.weight

    def log_abs_det(self) -> Tensor:
        """Natural logarithm of the matrix's absolute determinant, a scalar."""
        log_abs_det: Tensor = torch.linalg.slogdet(self.weight)[1]
        return log_abs_det

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Multiply the channels by the matrix."""
        y = functional.conv2d(x, self.matrix()[:, :, None, None])
        return y, (self.log_abs_det() * x.shape[2] * x.shape[3]).expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        """Multiply by the inverse, which is taken in float64."""
        inverse = torch.linalg.inv(self.matrix().double()).to(y.dtype)
        return functional.conv2d(y, inverse[:, :, None, None])


class InvertibleConv1x1LU(InvertibleConv1x1):
    """:class:`InvertibleConv1x1` held as ``P L (U + diag(sign · exp(log_s)))``: its log_det is a sum (equation 10)."""

    permutation: Tensor
    sign: Tensor

    def __init__(self, channels: int) -> None:
        nn.Module.__init__(self)
        permutation, lower, upper = torch.linalg.lu(torch.linalg.qr(torch.randn(channels, channels))[0])
        diagonal = torch.diagonal(upper)
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", torch.sign(diagonal))
        self.lower = nn.Parameter(torch.tril(lower, -1))
        self.upper = nn.Parameter(torch.triu(upper, 1))
        self.log_s = nn.Parameter(torch.log(diagonal.abs()))

    def matrix(self) -> Tensor:
        """The (C, C) matrix that the factors make."""
        lower = torch.tril(self.lower, -1) + torch.eye(
            len(self.lower), dtype=self.lower.dtype, device=self.lower.device
        )
        return self.permutation @ lower @ (torch.triu(self.upper, 1) + torch.diag(self.sign * torch.exp(self.log_s)))

    def log_abs_det(self) -> Tensor:
        """The sum of ``log_s``."""
        return self.log_s.sum()


class AdditiveCoupling(nn.Module):
    """The first half of the channels shifts the second: ``y2 = x2 + net(x1)`` (section 3.3)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.net = CouplingNet(channels // 2, width, channels // 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Add the net's shift; volume preserving, so the log_det is zero."""
        x1, x2 = x.chunk(2, 1)
        return torch.cat([x1, x2 + self.net(x1)], 1), _zeros(x)

    def inverse(self, y: Tensor) -> Tensor:
        """Subtract it again."""
        y1, y2 = y.chunk(2, 1)
        return torch.cat([y1, y2 - self.net(y1)], 1)


class AffineCoupling(nn.Module):
    """The first half shifts and scales the second: ``y2 = (x2 + shift) · sigmoid(h + 2)`` (section 3.3).

    The net's even outputs are the shift and its odd ones ``h``, interleaved as in OpenAI's code.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.net = CouplingNet(channels // 2, width, channels)

    def _shift_and_log_scale(self, x1: Tensor) -> tuple[Tensor, Tensor]:
        h = self.net(x1)
        return h[:, 0::2], functional.logsigmoid(h[:, 1::2] + 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shift, then scale."""
        x1, x2 = x.chunk(2, 1)
        shift, log_scale = self._shift_and_log_scale(x1)
        return torch.cat([x1, (x2 + shift) * torch.exp(log_scale)], 1), log_scale.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        """Unscale, then unshift."""
        y1, y2 = y.chunk(2, 1)
        shift, log_scale = self._shift_and_log_scale(y1)
        return torch.cat([y1, y2 * torch.exp(-log_scale) - shift], 1)


class Split(nn.Module):
    """Half of the channels leave the flow, standardised by a prior that the other half predicts (section 3.6).

    ``eps = (x2 − mean(x1)) · exp(−logs(x1))``, with the mean on the even and logs on the odd outputs of a
    zero-initialised convolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = EdgeConv2d(channels // 2, channels)

    def _mean_and_logs(self, x1: Tensor) -> tuple[Tensor, Tensor]:
        h = self.conv(x1)
        return h[:, 0::2], h[:, 1::2]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (x1, eps, log_det) of (N, C, H, W); x1 and eps have C/2 channels."""
        x1, x2 = x.chunk(2, 1)
        mean, logs = self._mean_and_logs(x1)
        return x1, (x2 - mean) * torch.exp(-logs), -logs.flatten(1).sum(1)

    def inverse(self, x1: Tensor, eps: Tensor) -> Tensor:
        """Return x from its conditioning half and the standardised residual."""
        mean, logs = self._mean_and_logs(x1)
        return torch.cat([x1, mean + torch.exp(logs) * eps], 1)


class TopPrior(nn.Module):
    """Standardise what is left at the top: ``eps = (x − mean) · exp(−logs)``.

    OpenAI's code gets mean and logs from a convolution of zeros; of its weights only the edge channel's can matter,
    so only those are kept, and the prior differs at the borders.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.edge = nn.Parameter(torch.zeros(2 * channels, 1, 3, 3))
        self.bias = nn.Parameter(torch.zeros(2 * channels))
        self.logs = nn.Parameter(torch.zeros(2 * channels))

    def mean_and_logs(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """The prior's mean and log standard deviation, each (C, H, W)."""
        h = edge_map(self.edge, height, width)[0] + self.bias[:, None, None]
        mean, logs = (h * torch.exp(3 * self.logs)[:, None, None]).chunk(2, 0)
        return mean, logs

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (eps, log_det)."""
        mean, logs = self.mean_and_logs(x.shape[2], x.shape[3])
        return (x - mean) * torch.exp(-logs), (-logs.sum()).expand(len(x))

    def inverse(self, eps: Tensor) -> Tensor:
        """Return x."""
        mean, logs = self.mean_and_logs(eps.shape[2], eps.shape[3])
        return mean + torch.exp(logs) * eps
