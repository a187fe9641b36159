"""What the PyTorch ports of Glow have in common where they differ from OpenAI's code."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Factors", "interleave", "prior_of_zeros"]


class Factors(NamedTuple):
    """A 1x1 convolution's matrix as ``permutation · (lower + 1) · (upper + diag(sign · exp(log_s)))``.

    ``lower`` and ``upper`` count below and above their diagonals only.
    """

    permutation: Tensor
    lower: Tensor
    upper: Tensor
    sign: Tensor
    log_s: Tensor

    def state(self, name: str) -> dict[str, Tensor]:
        """The weights of an ``InvertibleConv1x1LU`` of this name."""
        masked = self._replace(lower=torch.tril(self.lower, -1), upper=torch.triu(self.upper, 1))
        return {f"{name}.{field}": tensor for field, tensor in masked._asdict().items()}

    def matrix(self) -> Tensor:
        """The product, taken in float64."""
        permutation, lower, upper, sign, log_s = (factor.double() for factor in self)
        ones = torch.ones_like(log_s)
        product = permutation @ (torch.tril(lower, -1) + torch.diag(ones))
        return (product @ (torch.triu(upper, 1) + torch.diag(sign * torch.exp(log_s)))).float()


def interleave(first: Tensor, second: Tensor) -> Tensor:
    """Merge two tensors along axis 0: the first on the even places, the second on the odd ones."""
    return torch.stack([first, second], 1).flatten(0, 1)


def prior_of_zeros(channels: int) -> dict[str, Tensor]:
    """The weights of a ``TopPrior`` with mean 0 and deviation 1 for C channels."""
    return {
        "prior.edge": torch.zeros(2 * channels, 1, 3, 3),
        "prior.bias": torch.zeros(2 * channels),
        "prior.logs": torch.zeros(2 * channels),
    }
