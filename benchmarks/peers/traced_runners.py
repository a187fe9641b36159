"""Graphs that PyTorch's exporter traced from a module, run by ONNX Runtime with its default options."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from flowxfer.benchmarks.models import ModelFolder
from flowxfer.bundle import DECODE, ENCODE
from flowxfer.glow import Glow
from flowxfer.glow.model import LatentKind
from flowxfer.glow.pixels import from_pixels, to_pixels
from flowxfer.types import Array, Images

from .eager import EagerGlow, FixedConv1x1
from .folded import ConcatStep, FoldedGlow
from .graph_runners import onnx_runtime
from .runner import Runner
from .torch_runner import Flow

OPSET = 18

__all__ = ["ConcatTraced", "FoldedTraced", "Traced"]


class _Encoder(nn.Module):
    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.flow.encode(from_pixels(images)))


class _Decoder(nn.Module):
    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, *latents: Tensor) -> Tensor:
        return to_pixels(self.flow.decode(list(latents)))


class Traced(Runner):
    """The eager module; its inverses are taken beforehand, for ONNX has none."""

    def __init__(self, model: ModelFolder, threads: int) -> None:
        folder = self._folder(model)
        self._encode, self._decode = (
            onnx_runtime(folder / name, threads, "ORT_ENABLE_ALL", {}) for name in (ENCODE, DECODE)
        )

    @classmethod
    def flow(cls, glow: Glow, kind: LatentKind) -> Flow:
        """The module to trace."""
        return EagerGlow(glow, kind, FixedConv1x1)

    @classmethod
    def prepare(cls, model: ModelFolder) -> None:
        """Trace both directions."""
        manifest, folder = model.manifest, cls._folder(model)
        folder.mkdir(exist_ok=True)
        flow = cls.flow(model.glow(), manifest.latents)
        names = tuple(f"z{level}" for level in range(len(manifest.latent_shapes)))
        image = torch.zeros(2, manifest.image_size, manifest.image_size, 3, dtype=torch.uint8)
        latents = tuple(torch.zeros(2, *shape) for shape in manifest.latent_shapes)
        _trace(_Encoder(flow), (image,), folder / ENCODE, ("image",), names)
        _trace(_Decoder(flow), latents, folder / DECODE, names, ("image",))

    @classmethod
    def _folder(cls, model: ModelFolder) -> Path:
        return model.path / cls.__name__

    def encode(self, images: Images) -> list[Array]:
        """Encode."""
        return list(self._encode({"image": images}))

    def decode(self, latents: list[Array]) -> Images:
        """Decode."""
        images: Images = self._decode({f"z{level}": z for level, z in enumerate(latents)})[0]
        return images


class FoldedTraced(Traced):
    """The folded module."""

    @classmethod
    def flow(cls, glow: Glow, kind: LatentKind) -> Flow:
        """Folded."""
        return FoldedGlow(glow, kind)


class ConcatTraced(Traced):
    """The folded module with the edge channel still concatenated."""

    @classmethod
    def flow(cls, glow: Glow, kind: LatentKind) -> Flow:
        """Folded, but for the edge."""
        return FoldedGlow(glow, kind, ConcatStep)


@torch.inference_mode()
def _trace(
    module: nn.Module, arguments: tuple[Tensor, ...], path: Path, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> None:
    """The exporter that traces, for the newer one takes minutes for what this one does in seconds."""
    torch.onnx.export(
        module.eval(),
        arguments,
        path,
        input_names=inputs,
        output_names=outputs,
        opset_version=OPSET,
        dynamic_axes={name: {0: "batch"} for name in (*inputs, *outputs)},
        dynamo=False,
    )
