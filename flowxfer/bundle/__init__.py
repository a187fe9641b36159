"""The bundle: the one thing that the workshop and the runtime agree on.

A bundle is a folder with ``manifest.json``, ``encode.onnx``, ``decode.onnx``, ``weights.bin``, which both share as
external data, and ``combine.onnx``, which does latent arithmetic where the latents lie. A model with raw latents has a
``sample.onnx`` too, which decodes eps. Opening a bundle checks every file against its SHA-256, refuses whatever points
out of the folder, and every graph that is not one of ours (:mod:`flowxfer.bundle.graph_check`). Attribute vectors may
lie in it too (:mod:`flowxfer.directions`), which are no part of the model.
"""

from flowxfer.bundle.folder import Bundle
from flowxfer.bundle.manifest import (
    COMBINE,
    DECODE,
    ENCODE,
    FORMAT,
    MANIFEST,
    PRECISIONS,
    SAMPLE,
    TENSORRT,
    WEIGHTS,
    LatentKind,
    Manifest,
    Precision,
    member,
    sha256,
)

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
    "Bundle",
    "LatentKind",
    "Manifest",
    "Precision",
    "member",
    "sha256",
]
