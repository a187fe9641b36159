"""What is run: the bundled model and random models of the published recipe, each as weights, bundles and a reference.

A model's folder is made once, and again when the code that made it has changed: ``weights.safetensors``, the bundles
``exact-fp32`` and ``fp32``, and ``reference.npz`` with what PyTorch computes in float64. What a contestant makes of
them lies there too.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import flowxfer
from flowxfer.bundle import MANIFEST, Manifest
from flowxfer.engines.probes import probe
from flowxfer.errors import InputError, MissingExtraError
from flowxfer.models import hub
from flowxfer.types import Images

if TYPE_CHECKING:
    from flowxfer.bundle import LatentKind
    from flowxfer.glow import Glow


ALPHA = 0.4  # strength of the edits, the middle of the paper's
SOURCES = "made-from.txt"
RECIPE = {"image_size": 256, "levels": 6, "width": 512, "coupling": "additive", "bits": 5}
SHIFT_STD = 0.1  # of a coupling's shift in a random model, whose state has the standard deviation 1

__all__ = ["ALPHA", "MODELS", "ModelFolder", "make", "photographs"]


@dataclass(frozen=True)
class ModelFolder:
    """A model made for the benchmark; :func:`make` makes one."""

    path: Path

    @property
    def weights(self) -> Path:
        """The weights that every contestant with the same weights holds."""
        return self.path / "weights.safetensors"

    @property
    def exact(self) -> Path:
        """The bundle that is shipped."""
        return self.path / "exact-fp32"

    @property
    def fp32(self) -> Path:
        """The bundle whose state is float32."""
        return self.path / "fp32"

    @property
    def manifest(self) -> Manifest:
        """What the exact bundle says of itself."""
        return Manifest.read(self.exact)

    def glow(self) -> Glow:
        """The PyTorch model."""
        from flowxfer.glow.weights import load

        return load(self.weights)

    def reference(self) -> dict[str, npt.NDArray[Any]]:
        """``images``; ``z0``, ``z1``, … of them; ``edited``: the first image with the direction to the second."""
        with np.load(self.path / "reference.npz") as file:
            return dict(file)


def make(name: str, folder: Path) -> ModelFolder:
    """A model of :data:`MODELS` in ``folder``, made unless it is there already and up to date.

    Raises:
        InputError: there is no model of that name, or its weights are not in this installation.
        MissingExtraError: PyTorch or onnx is not installed.
    """
    if name not in MODELS:
        raise InputError(f"expected a model of {', '.join(MODELS)}, got {name!r}")
    model = ModelFolder(folder / name)
    sources = _sources()
    if not (model.path / SOURCES).exists() or (model.path / SOURCES).read_text() != sources:
        for package in ("torch", "onnx"):
            _require(package)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as temporary:
            staged = ModelFolder(Path(temporary) / name)
            staged.path.mkdir()
            MODELS[name](staged)
            _write_reference(staged)
            (staged.path / SOURCES).write_text(sources)
            shutil.rmtree(model.path, ignore_errors=True)
            staged.path.rename(model.path)
    return model


def photographs(size: int, count: int) -> Images:
    """Pictures with the spectrum of photographs, (count, size, size, 3)."""
    return np.stack([probe("photograph", size, seed) for seed in range(count)])


def _bundled(model: ModelFolder) -> None:
    bundle = hub.resolve(hub.DEFAULT)
    weights = Path(f"{bundle}.safetensors")
    if not weights.exists():
        raise InputError(
            f"expected the weights of {hub.DEFAULT} at {weights}; a checkout has them, an installed wheel does not: "
            "run the benchmark there, or with --model recipe-256"
        )
    shutil.copytree(bundle, model.exact)
    shutil.copy(weights, model.weights)
    _export(model.glow(), model.fp32, "fp32", Manifest.read(bundle).latents)


def _random(**architecture: Any) -> Callable[[ModelFolder], None]:
    """A maker of a random model whose activations have a trained model's sizes."""

    def made(model: ModelFolder) -> None:
        import torch

        from flowxfer.glow import Glow, GlowConfig
        from flowxfer.glow.pixels import from_pixels
        from flowxfer.glow.weights import save

        torch.manual_seed(0)
        config = GlowConfig(**architecture)
        glow = Glow(config).eval()
        shift_std = SHIFT_STD / (9 * config.width / 2) ** 0.5
        with torch.no_grad():
            for level in range(config.levels):
                for step in glow.steps(level):
                    step.coupling.net.conv3.weight.normal_(std=shift_std)
                    step.coupling.net.conv3.edge.normal_(std=shift_std)
                    step.coupling.net.conv1.edge.normal_(std=0.05)
        glow.initialize(from_pixels(torch.from_numpy(photographs(config.image_size, 2))))
        save(glow, model.weights)
        for folder, precision in ((model.exact, "exact-fp32"), (model.fp32, "fp32")):
            _export(glow, folder, precision, "eps")

    return made


MODELS: dict[str, Callable[[ModelFolder], None]] = {
    hub.DEFAULT: _bundled,
    "recipe-256": _random(**RECIPE, depth=4),
    "recipe-256-deep": _random(**RECIPE, depth=32),
    "tiny-32": _random(image_size=32, levels=3, depth=2, width=16, coupling="additive"),
}


def _export(glow: Glow, folder: Path, precision: Any, kind: LatentKind) -> None:
    from flowxfer.export import export_bundle

    origin = "flowxfer bench"
    export_bundle(glow, folder, name=folder.name, licence="CC0-1.0", origin=origin, latents=kind, precision=precision)


def _write_reference(model: ModelFolder) -> None:
    import torch

    from flowxfer.glow.pixels import from_pixels, to_pixels

    kind, glow = model.manifest.latents, model.glow().double()
    images = photographs(model.manifest.image_size, 2)
    with torch.no_grad():
        latents = glow.encode(from_pixels(torch.from_numpy(images), dtype=torch.float64), kind)
        edited = to_pixels(glow.decode([z[:1] + ALPHA * (z[1:] - z[:1]) for z in latents], kind))
    arrays: dict[str, Any] = {f"z{level}": z.numpy() for level, z in enumerate(latents)}
    np.savez(model.path / "reference.npz", images=images, edited=edited.numpy(), **arrays)


def _sources() -> str:
    """A hash of the bundled model and of the code that makes graphs."""
    package = Path(str(flowxfer.__file__)).parent
    digest = hashlib.sha256((package / "data" / "models" / hub.DEFAULT / MANIFEST).read_bytes())
    for folder in ("export", "glow", "benchmarks/peers"):
        for path in sorted((package / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _require(package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise MissingExtraError(package, "bench", "`flowxfer bench`")
