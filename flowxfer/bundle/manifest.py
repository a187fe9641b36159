"""What a bundle says of itself: ``manifest.json``, and the names of its files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import stat
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from flowxfer.bundle.config import GlowConfig
from flowxfer.errors import BundleError, reason
from flowxfer.files import read_regular, replacing

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
    "member",
    "sha256",
]

_LARGEST_MANIFEST = 1 << 20  # bytes; ours have some 2 kB
_LARGEST_IMAGE = 2048  # pixels; the latents of such a face take 100 MB in float64


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
            values = json.loads(read_regular(member(folder, MANIFEST), _LARGEST_MANIFEST))
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
        types |= {"architecture": dict, "parity": dict, "files": dict}
        for name, expected in types.items():
            if type(getattr(self, name)) is not expected:
                raise ValueError(f"{name} is not a {expected.__name__}")
        for name in ("name", "licence", "origin"):
            if not getattr(self, name).isprintable():  # what a terminal would take for an order to it
                raise ValueError(f"{name} has characters that cannot be printed")
        if not all(name.isprintable() and type(value) in (int, float) for name, value in self.parity.items()):
            raise ValueError("parity is not of numbers")
        if self.latents not in ("eps", "raw") or self.precision not in PRECISIONS:
            raise ValueError(f"unknown latents {self.latents!r} or precision {self.precision!r}")
        self._check_architecture()
        for name, digest in self.files.items():
            if PurePosixPath(name).name != name or "\\" in name or name in ("", ".", "..") or not name.isprintable():
                raise ValueError(f"the file name {name!r} leaves the bundle")
            if not isinstance(digest, str):
                raise ValueError(f"the hash of {name} is not text")
        if missing := {ENCODE, DECODE, COMBINE, WEIGHTS} - set(self.files):
            raise ValueError(f"files lacks {', '.join(sorted(missing))}")

    def _check_architecture(self) -> None:
        config = GlowConfig.from_dict(self.architecture)
        if config.image_size > _LARGEST_IMAGE:
            raise ValueError(f"image_size is more than {_LARGEST_IMAGE}: {config.image_size}")
        if (self.image_size, self.bits, self.latent_shapes) != (config.image_size, config.bits, config.latent_shapes()):
            raise ValueError("image_size, bits or latent_shapes are not those of the architecture")


def member(folder: Path, name: str) -> Path:
    """A file of a bundle's folder.

    Raises:
        BundleError: it is a link that leads out of the folder, or a device, a pipe or a folder, which may have no end.
        FileNotFoundError: there is none.
    """
    path = folder / name
    if path.is_symlink() and os.path.dirname(os.path.realpath(path)) != os.path.realpath(folder):
        raise BundleError(f"expected {name} inside the bundle {folder}, but it links out of it")
    if not stat.S_ISREG(path.stat().st_mode):
        raise BundleError(f"expected {name} in the bundle {folder} to be a regular file, but it is something else")
    return path
