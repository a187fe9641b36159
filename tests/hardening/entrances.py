"""Where bytes from elsewhere enter code of our own: what `guided` steers by coverage, and CI tries again.

Each entrance takes the bytes of one input in a folder of its own. What it allows is what its callers have to expect:
flowxfer's errors with one sentence, or the ``ValueError`` that a parser documents.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest import mock

from flowxfer.errors import InputError, reason
from tests.hardening import models, pictures
from tests.hardening.law import LONGEST, check_message, tried

__all__ = ["ENTRANCES"]

Use = Callable[[bytes], object]
Inputs = tuple[Use, Sequence[bytes]]
"""What takes an input, and sound inputs to start from."""

Entrance = Callable[[Path], contextlib.AbstractContextManager[Inputs]]
"""Opened in an empty folder."""


@contextlib.contextmanager
def manifest(folder: Path) -> Iterator[Inputs]:
    """``manifest.json`` of a bundle."""
    from flowxfer.bundle import MANIFEST, Manifest

    sound = (models.bundle_in(folder) / MANIFEST).read_bytes()
    yield _as_file(folder / MANIFEST, lambda path: Manifest.read(path.parent)), [sound]


@contextlib.contextmanager
def latents(folder: Path) -> Iterator[Inputs]:
    """Latents as a file, and as an upload."""
    import numpy as np

    from flowxfer import Latents
    from flowxfer.serve import Limits, uploads
    from flowxfer.serve.problems import Refusal

    levels = [np.ones((1, 6, 2, 2), np.float32), np.zeros((1, 12, 1, 1), np.float32)]
    shapes = tuple(level.shape[1:] for level in levels)
    Latents(levels, "ab" * 32, "a test").save(folder / "sound")

    def use(data: bytes) -> None:
        (folder / "z").write_bytes(data)
        tried(Latents.load, folder / "z")
        with contextlib.suppress(Refusal):
            tried(uploads.read_latents, io.BytesIO(data), "latents", shapes, Limits(max_pictures=4))

    yield use, [(folder / "sound").read_bytes()]


@contextlib.contextmanager
def graphs(folder: Path) -> Iterator[Inputs]:
    """ONNX graphs, read and their shapes inferred."""
    from flowxfer.bundle import COMBINE, WEIGHTS, Manifest
    from flowxfer.bundle.graph_check import check_graph
    from tests.glow.tensorflow_files import data as field

    # A model, its graph, a tensor, an entry of where its numbers lie.
    located = field(7, field(5, field(13, field(1, "location") + field(2, "../../weights.bin"))))
    bundle = models.bundle_in(folder)
    graph, manifest = bundle / COMBINE, Manifest.read(bundle)
    yield _as_file(graph, lambda path: check_graph(path, manifest, WEIGHTS)), [graph.read_bytes(), located]


@contextlib.contextmanager
def graph_defs(folder: Path) -> Iterator[Inputs]:
    """TensorFlow's frozen graphs."""
    import numpy as np

    from flowxfer.glow.importers.tensorflow_graph import read_graph
    from tests.glow.tensorflow_files import const, node, placeholder

    ones = np.ones((1, 2), np.float32)
    sound = placeholder("input/image", (-1, 8, 8, 3)) + const("model/w", ones) + node("add", "Add", "model/w")
    repeated = const("model/b", ones, content=b"\x2a\x04\0\0\x80\x3f")
    yield _as_file(folder / "graph.pb", read_graph), [sound, repeated]


@contextlib.contextmanager
def checkpoints(folder: Path) -> Iterator[Inputs]:
    """The index of TensorFlow's checkpoints; every checksum is right, for a search could not guess one."""
    import numpy as np

    from flowxfer.glow.importers import sstable, tensorflow_checkpoint
    from tests.glow.tensorflow_files import write_checkpoint

    variables = {f"model/{level}/w": np.ones((1, 2), np.float32) for level in range(3)}
    prefix = write_checkpoint(folder, variables, name="model")
    index = prefix.with_name("model.index")
    sound = index.read_bytes()
    equal = {"return_value": mock.ANY}  # to whatever it is compared with
    with mock.patch.object(sstable, "crc32c", **equal), mock.patch.object(tensorflow_checkpoint, "crc32c", **equal):
        yield _as_file(index, lambda _: dict(tensorflow_checkpoint.TensorBundle(prefix))), [sound]


@contextlib.contextmanager
def xmp(_: Path) -> Iterator[Inputs]:
    """Packets: what they say, and the mark that is put into them."""
    from flowxfer.provenance.xmp import packet, properties

    def use(data: bytes) -> None:
        properties(data)
        properties(packet(pictures.MARK, data))

    yield _allowing_value_errors(use), [packet(pictures.MARK)]


@contextlib.contextmanager
def marked_files(folder: Path) -> Iterator[Inputs]:
    """Pictures and films of every kind that is marked, by our own walk through their parts."""
    from flowxfer.provenance import mark, marked, read

    def use(data: bytes) -> None:
        (folder / "file").write_bytes(data)
        tried(read, folder / "file")
        tried(mark, folder / "file", pictures.MARK)

    packet = pictures.packet(pictures.MARK)
    seeds = [
        pictures.saved("PNG"),
        pictures.saved("JPEG", exif=pictures.exif()),
        pictures.saved("WEBP", lossless=True),
        pictures.saved("WEBP", "RGBA"),
        pictures.animated("GIF"),
        _film(packet),
        _matroska(packet),
    ]
    yield use, [*seeds, *(marked(seed, pictures.MARK) for seed in seeds[:5])]


def _film(packet: bytes) -> bytes:
    """MP4 without a frame, whose user data have a packet."""
    inner = packet
    for kind in (b"XMP_", b"udta", b"moov"):
        inner = _box(kind, inner)
    return _box(b"ftyp", b"isom" + bytes(4)) + inner + _box(b"mdat", b"film")


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def _matroska(packet: bytes) -> bytes:
    """Matroska without a frame, which has a tag."""
    inner = _element("45a3", b"XMP") + _element("4487", packet)
    for kind in ("67c8", "7373", "1254c367", "18538067"):
        inner = _element(kind, inner)
    return _element("1a45dfa3", b"") + inner


def _element(kind: str, body: bytes) -> bytes:
    return bytes.fromhex(kind) + struct.pack(">H", 0x4000 | len(body)) + body


@contextlib.contextmanager
def requests(folder: Path) -> Iterator[Inputs]:
    """Requests to the service: a byte that tells the route, and a body in parts with the boundary ``b``."""
    from starlette.testclient import TestClient

    from flowxfer import Transferer
    from flowxfer.serve import Limits, create_app

    routes = ("encode", "mean", "decode", "transfer", "sweep", "mix", "sample")
    app = create_app(Transferer(models.bundle_in(folder), threads=1), Limits(max_pictures=3, max_pixels=10_000))
    headers = {"Content-Type": "multipart/form-data; boundary=b"}

    def use(data: bytes) -> None:
        route = routes[data[0] % len(routes)] if data else "encode"
        answer = client.post(f"/v1/{route}", content=data[1:], headers=headers)
        assert answer.status_code in (200, 400, 413, 415, 422), answer.text
        if answer.status_code != 200:
            assert 0 < len(answer.json()["error"]) <= LONGEST, answer.text

    picture = pictures.saved("PNG", "1")
    face, fields = ("target", picture), [("alpha", b"0.5"), ("format", b"jpeg"), ("align", b"false")]
    seeds = [_body(3, face, ("expression", picture), ("neutral", picture), *fields)]
    seeds += [_body(0, ("faces", picture)), _body(6, ("n", b"2"), ("seed", b"1"), ("temperature", b"0.7"))]
    with TestClient(app, base_url="http://localhost") as client:
        yield use, seeds


def _body(route: int, *fields: tuple[str, bytes]) -> bytes:
    parts = b""
    for name, value in fields:
        file = '; filename="a"' if len(value) > 9 else ""
        parts += f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + value + b"\r\n"
    return bytes([route]) + parts + b"--b--\r\n"


ENTRANCES: dict[str, Entrance] = {
    "manifest": manifest,
    "latents": latents,
    "graphs": graphs,
    "graph-defs": graph_defs,
    "checkpoints": checkpoints,
    "xmp": xmp,
    "marked-files": marked_files,
    "requests": requests,
}


def _as_file(path: Path, use: Callable[[Path], object]) -> Use:
    def used(data: bytes) -> None:
        path.write_bytes(data)
        tried(use, path)

    return used


def _allowing_value_errors(use: Use) -> Use:
    def used(data: bytes) -> None:
        try:
            use(data)
        except ValueError as error:
            if type(error) not in (ValueError, UnicodeDecodeError):
                raise
            check_message(InputError(reason(error)))  # as callers say it

    return used
