"""What a bundle says of itself: ``manifest.json``, and the names of its files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from flowxfer.errors import BundleError, reason
from flowxfer.files import replacing

LatentKind = Literal["eps", "raw"]
Precision = Literal["fp32", "mixed", "exact-fp32", "exact-fp16", "exact-bf16"]

# What a precision computes in: the flow's state, then the coupling nets. A float64 state is what makes it exact.
PRECISIONS: dict[Precision, tuple[str, str]] = {
    "fp32": ("float32", "float32"),
    "mixed": ("float32", "float16"),
    "exact-fp32": ("float64", "float32"),
    "exact-fp16": ("float64", "float16"),
    "exact-bf16": ("float64", "bfloat16"),
}

FORMAT = 1
MANIFEST = "manifest.json"
ENCODE = "encode.onnx"
DECODE = "decode.onnx"
COMBINE = "combine.onnx"
SAMPLE = "sample.onnx"
WEIGHTS = "weights.bin"
TENSORRT = "tensorrt.json"  # in a bundle whose graphs TensorRT takes: the batches that its engines are built for

__all__ = [
    "COMBINE",
    "DECODE",
    "ENCODE",
    "FORMAT",
    "MANIFEST",
    "PRECISIONS",
    "SAMPLE",
    "TENSORRT",
    "WEIGHTS",
    "LatentKind",
    "Manifest",
    "Precision",
    "sha256",
]


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself.

    Args:
        name: the model's name, such as ``synthetic-64``.
        architecture: the fields of :class:`flowxfer.glow.GlowConfig`.
        image_size: height and width of a face in pixels.
        bits: bits a colour value had in training.
        latent_shapes: (C, H, W) of each level's latents.
        latents: whether they are ``"eps"`` or ``"raw"``.
        precision: a key of :data:`PRECISIONS`; the exact ones hold the state in float64 around nets in fewer bits.
        opset: the graphs' ONNX opset.
        licence: under which the weights may be used.
        origin: where the weights come from.
        parity: the figures that the export measured against PyTorch.
        files: SHA-256 of the graphs and the weights, by name.
    """

    name: str
    architecture: dict[str, Any]
    image_size: int
    bits: int
    latent_shapes: tuple[tuple[int, int, int], ...]
    latents: LatentKind
    precision: Precision
    opset: int
    licence: str
    origin: str
    parity: dict[str, float] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def latents_dtype(self) -> str:
        """NumPy name of the latents' dtype."""
        return PRECISIONS[self.precision][0]

    @cached_property
    def model_hash(self) -> str:
        """Identity of the model: SHA-256 over the hashes of its files. Latents carry it."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write ``manifest.json`` into ``folder``, whole or not at all."""
        with replacing(folder / MANIFEST) as temporary:
            temporary.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read ``manifest.json`` from ``folder``.

        Raises:
            BundleError: it is missing, damaged, or of another format.
        """
        path = folder / MANIFEST
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BundleError(f"expected a bundle with a {MANIFEST} in {folder}; `flowxfer export` makes one") from None
        except (OSError, ValueError, RecursionError) as error:
            raise BundleError(f"expected JSON in {path}: {reason(error)}") from error
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise BundleError(f"expected a manifest of format {FORMAT} in {path}; export the model again")
        try:
            manifest = cls(**{**values, "latent_shapes": tuple(map(tuple, values["latent_shapes"]))})
            manifest._check()
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise BundleError(f"expected the fields of a manifest in {path}: {reason(error)}") from error
        return manifest

    def _check(self) -> None:
        types = {"name": str, "image_size": int, "bits": int, "opset": int, "licence": str, "origin": str}
        for name, expected in types.items():
            if type(getattr(self, name)) is not expected:
                raise ValueError(f"{name} is not a {expected.__name__}")
        for name in ("architecture", "parity", "files"):
            if not isinstance(getattr(self, name), dict):
                raise ValueError(f"{name} is not an object")
        if self.latents not in ("eps", "raw") or self.precision not in PRECISIONS:
            raise ValueError(f"unknown latents {self.latents!r} or precision {self.precision!r}")
        shapes = self.latent_shapes
        if not shapes or not all(len(s) == 3 and all(type(n) is int and n > 0 for n in s) for s in shapes):
            raise ValueError("latent_shapes are not (C, H, W) each")
        if sum(c * h * w for c, h, w in shapes) != 3 * self.image_size**2:
            raise ValueError("latent_shapes do not hold an image of image_size")
        for name, digest in self.files.items():
            if PurePosixPath(name).name != name or "\\" in name or name in ("", ".", ".."):
                raise ValueError(f"the file name {name!r} leaves the bundle")
            if not isinstance(digest, str):
                raise ValueError(f"the hash of {name} is not text")
        if missing := {ENCODE, DECODE, COMBINE, WEIGHTS} - set(self.files):
            raise ValueError(f"files lacks {', '.join(sorted(missing))}")
