"""Learned directions in latent space, one for each of the 52 ARKit actions: an expression is a mixture of them.

They are trained with the model: a share of the transfers add ``strength · Σ weight · direction`` in place of a donor's
difference. What they learn is what an action does to any face; how it looks on one is the model's.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from flowxfer.bundle.config import GlowConfig
from flowxfer.directions.arkit import ACTIONS
from flowxfer.errors import WeightsError, reason
from flowxfer.files import replacing
from flowxfer.glow.model import LatentKind

__all__ = ["ACTIONS_FILE", "ActionTable"]

ACTIONS_FILE = "actions.safetensors"

NAMES_KEY, WEIGHTS_KEY, KIND_KEY = "flowxfer.actions", "flowxfer.weights", "flowxfer.latents"


class ActionTable(nn.Module):
    """Directions, one (52, C, H, W) parameter per level, zero at first."""

    def __init__(self, config: GlowConfig) -> None:
        super().__init__()
        shapes = [(len(ACTIONS), *shape) for shape in config.latent_shapes()]
        self.levels = nn.ParameterList(nn.Parameter(torch.zeros(shape)) for shape in shapes)

    def directions(self, weights: Tensor) -> list[Tensor]:
        """The mixtures of weights (N, 52), an (N, C, H, W) tensor per level."""
        return [(weights @ level.flatten(1)).unflatten(1, level.shape[1:]) for level in self.levels]

    @torch.no_grad()
    def read(self, differences: list[Tensor]) -> list[Tensor]:
        """The mixtures that come nearest to differences of latents, by least squares; both (N, C, H, W) per level."""
        rows = torch.cat([level.flatten(1) for level in self.levels], 1)
        wanted = torch.cat([level.flatten(1) for level in differences], 1)
        return self.directions(wanted @ torch.linalg.pinv(rows))

    def save(self, path: Path, *, weights: str | os.PathLike[str], kind: LatentKind) -> None:
        """Write a safetensors file of float16 arrays ``level0``, ``level1``, …, whole or not at all.

        Its header has the names of the actions, the SHA-256 of the file with the model's weights, and the kind of
        latents that the directions are added to.
        """
        tensors = {f"level{i}": level.detach().cpu().half().contiguous() for i, level in enumerate(self.levels)}
        digest = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
        header = {NAMES_KEY: json.dumps(ACTIONS), WEIGHTS_KEY: digest, KIND_KEY: kind}
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata=header)

    @classmethod
    def load(cls, path: str | os.PathLike[str], config: GlowConfig) -> ActionTable:
        """Read what :meth:`save` wrote, for a model of an architecture.

        Raises:
            WeightsError: the file cannot be read, or its directions are of other actions or latents.
        """
        try:
            with safe_open(path, framework="pt") as file:
                names = (file.metadata() or {}).get(NAMES_KEY)
                state = {f"levels.{name.removeprefix('level')}": file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise WeightsError(
                f"expected a file of directions at {path}, but it cannot be read: {reason(error)}"
            ) from error
        table = cls(config)
        shapes = [{name: tensor.shape for name, tensor in held.items()} for held in (state, table.state_dict())]
        if names != json.dumps(ACTIONS) or shapes[0] != shapes[1]:
            raise WeightsError(f"expected directions of the 52 ARKit actions for a {config} in {path}, got others")
        table.load_state_dict(state)
        return table
