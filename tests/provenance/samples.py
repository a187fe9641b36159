"""Pictures and films to mark, and readers that know nothing of flowxfer."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from PIL import Image

from flowxfer.provenance import EDITED, Mark

MARK = Mark(model="tiny & <co>", model_hash="ab" * 32, alphas=(0.4, (0.3, 0.4, 0.5)))
SAID = {
    "CreatorTool": "flowxfer 0.1.0",
    "DigitalSourceType": EDITED,
    "AISystemUsed": "flowxfer 0.1.0, tiny & <co>",
    "Model": "tiny & <co>",
    "ModelHash": "ab" * 32,
    "Alpha": ["0.4", "0.3,0.4,0.5"],
}
PIXELS = np.random.default_rng(7).integers(0, 256, (40, 64, 3), np.uint8)


def _saved(path: Path, picture: np.ndarray = PIXELS, **options) -> None:
    Image.fromarray(picture).save(path, **options)


def _animated(path: Path) -> None:
    frames = [Image.fromarray(np.roll(PIXELS, 8 * step, 1)) for step in range(4)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, loop=0)


PICTURES: dict[str, Callable[[Path], None]] = {
    "face.png": _saved,
    "grey.png": lambda path: _saved(path, PIXELS[:, :, 0]),
    "animated.png": _animated,
    "face.jpg": lambda path: _saved(path, quality=90),
    "progressive.jpg": lambda path: _saved(path, progressive=True, exif=_exif()),
    "lossless.webp": lambda path: _saved(path, lossless=True),
    "lossy.webp": lambda path: _saved(path, quality=80),
    "clear.webp": lambda path: _saved(path, np.dstack([PIXELS, PIXELS[:, :, 0]]), lossless=True),
    "animated.webp": _animated,
    "face.gif": _saved,
    "animated.gif": _animated,
}


FILMS: dict[str, dict[str, str]] = {
    "plain.mp4": {},
    "fast.mp4": {"movflags": "+faststart"},
    "fragments.mp4": {"movflags": "frag_keyframe"},
    "a.mov": {},
}


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    return exif


def picture(folder: Path, name: str) -> Path:
    """Write one of the PICTURES."""
    PICTURES[name](folder / name)
    return folder / name


def film(path: Path, tags: dict[str, str] | None = None, **options: str) -> Path:
    """Write twelve frames, in the container that the suffix names."""
    with av.open(str(path), "w", container_options=options) as container:
        container.metadata.update(tags or {})
        stream = container.add_stream("libvpx" if path.suffix == ".webm" else "libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 40, "yuv420p"
        for step in range(12):
            frame = av.VideoFrame.from_ndarray(np.roll(PIXELS, 4 * step, 1))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def pixels(path: Path) -> np.ndarray:
    """Decode every frame of a picture or film."""
    if path.suffix in (".mp4", ".mov", ".mkv", ".webm"):
        with av.open(str(path)) as container:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with Image.open(path) as image:
        frames = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGBA")))
        return np.stack(frames)


def said(packet: bytes) -> dict[str, str | list[str]]:
    """The properties of a packet, without their namespaces, by the standard library's ElementTree."""
    rdf = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    found: dict[str, str | list[str]] = {}
    for description in ElementTree.fromstring(packet.decode()).iter(f"{rdf}Description"):
        for element in description:
            items = [item.text or "" for item in element.iter(f"{rdf}li")]
            found[element.tag.rpartition("}")[2]] = items or element.text or ""
    return found


def exiftool(*arguments: str | Path) -> list[dict[str, object]]:
    """What exiftool reads of files, by tag."""
    program = shutil.which("exiftool")
    if program is None:
        pytest.skip("exiftool is not installed")
    command = [program, "-j", "-struct", *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
