"""Weights from elsewhere: OpenAI's checkpoints and frozen graphs, and two PyTorch ports' files."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path

from torch import Tensor

from flowxfer.bundle.config import GlowConfig
from flowxfer.errors import WeightsError
from flowxfer.glow import weights
from flowxfer.glow.importers import chaiyujin, openai, openai_graph, pytorch, rosinality, tensorflow_graph
from flowxfer.glow.importers.tensorflow_checkpoint import TensorBundle, find_prefix
from flowxfer.glow.model import Glow

__all__ = ["import_weights"]

log = logging.getLogger(__name__)

_SOURCES = (
    "a flowxfer file (.safetensors), a TensorFlow checkpoint or frozen graph of openai/glow, or a PyTorch file of"
    " rosinality/glow-pytorch or chaiyujin/glow-pytorch"
)


def import_weights(
    path: str | os.PathLike[str], *, ema: bool = False, image_size: int | None = None, bits: int | None = None
) -> Glow:
    """A model with the weights of a file from elsewhere, in evaluation mode.

    The source is recognised by what the file holds. Every number in it must be understood, and every weight be there.

    Args:
        path: flowxfer's safetensors; OpenAI's frozen graph; its checkpoint, as a folder, a prefix or one of the
            files; or a PyTorch file of rosinality/glow-pytorch or chaiyujin/glow-pytorch.
        ema: take the exponential moving averages of an OpenAI checkpoint instead of its last weights.
        image_size: height and width of the images; needed where the file does not say (OpenAI's checkpoints,
            rosinality's files), and preferred to what it says.
        bits: bits a colour value had in training; needed for the same files, and preferred too.

    Raises:
        WeightsError: the file is of another kind, truncated or damaged, or holds something that is not understood.
        InputError: ``image_size`` or ``bits`` is needed.
        MissingExtraError: reading a checkpoint needs google-crc32c.
    """
    path = Path(path)
    if not path.exists() and not find_prefix(path):
        raise WeightsError(f"expected {_SOURCES}, but there is nothing at {path}")
    if ema and not find_prefix(path):
        raise WeightsError(f"expected a checkpoint, which alone has moving averages, got {path}; use ema=False")
    if prefix := find_prefix(path):
        config, state = openai.import_variables(
            TensorBundle(prefix), ema=ema, image_size=image_size, bits=bits, origin=str(path)
        )
    elif path.is_dir():
        raise WeightsError(f"expected {_SOURCES}, but the folder {path} has no checkpoint; name the file")
    else:
        config, state = _import_file(path, image_size, bits)
    return weights.build(config, state, origin=str(path))


def _import_file(path: Path, image_size: int | None, bits: int | None) -> tuple[GlowConfig, dict[str, Tensor]]:
    with path.open("rb") as file:
        start = file.read(16)
    if start[8:9] == b"{":
        config, state = weights.read(path)
        return dataclasses.replace(config, image_size=image_size or config.image_size, bits=bits or config.bits), state
    if pytorch.is_pytorch(start):
        state = pytorch.read_state(path)
        if rosinality.is_source(state):
            return rosinality.import_state(state, image_size=image_size, bits=bits, origin=str(path))
        if chaiyujin.is_source(state):
            return chaiyujin.import_state(state, image_size=image_size, bits=bits, origin=str(path))
        raise WeightsError(f"expected the weights of a known source in {path}, got {', '.join(sorted(state)[:5])}, …")
    if start[:1] == b"\n":  # field 1 of a GraphDef: a node
        graph = tensorflow_graph.read_graph(path)
        if unknown := openai_graph.unknown_operators(graph):
            log.warning(
                "%s has operators that OpenAI's released code does not use (%s): only its weights are imported, so"
                " compare a picture with what the graph itself makes of it",
                path,
                ", ".join(unknown),
            )
        return openai.import_variables(
            openai_graph.variables(graph),
            image_size=image_size or openai_graph.image_size(graph),
            bits=bits or openai_graph.bits(graph),
            origin=str(path),
        )
    raise WeightsError(f"expected {_SOURCES}, but {path} is another kind of file")
