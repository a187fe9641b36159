"""Writes what lies in ``written``: ``python -m tests.compatibility.make FOLDER`` in a checkout of commit 21b5163.

They are what a user of that day may have kept. Nothing here is to be run again with later code.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from flowxfer import Latents, Transferer
from flowxfer.directions import Attributes
from flowxfer.export import export_bundle
from flowxfer.video import Options, edit, open_sink
from tests.glow.random_glow import random_glow
from tests.video.beacons import Beacons, crop, picture, walk

SEGMENT, FRAMES = 2, 5


def faces(size: int) -> np.ndarray:
    """Two faces that a model of this size takes: (2, size, size, 3), uint8."""
    return np.stack([crop(picture(40, shade=30), size), crop(picture(40, shade=-20), size)])


def film(flow: Transferer, folder: Path, latents: Latents, **options: object) -> None:
    """Give the person in a film of five frames an expression, two frames in a segment."""
    with (
        mock.patch("flowxfer.video.job.open_sink", functools.partial(open_sink, segment_frames=SEGMENT)),
        mock.patch("flowxfer.faces.tracking.embed", return_value=np.zeros(128)),
    ):
        choices = Options(detector=Beacons(), smooth=0.5, **options)
        edit(walk(FRAMES), folder / "film", latents[0], latents[1], alpha=0.5, transferer=flow, options=choices)


def interrupted(progress: object) -> None:
    """End a run after its first segment."""
    if progress.done > SEGMENT:
        raise KeyboardInterrupt


def main(folder: Path) -> None:
    """Write a bundle, latents, attribute vectors, and a film that is half done."""
    torch.manual_seed(0)
    model = random_glow(image_size=16, levels=2, depth=1, width=4).float()
    export_bundle(model, folder / "bundle", name="old", licence="none", origin="a test")
    flow = Transferer(folder / "bundle", threads=1)
    latents = flow.encode(faces(flow.size))
    latents.save(folder / "latents.safetensors")
    Attributes(["Smiling"], latents[0] - latents[1]).save(folder / "attributes.safetensors")
    np.save(folder / "decoded.npy", flow.decode(latents))
    try:
        film(flow, folder, latents, progress=interrupted)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main(Path(sys.argv[1]))
