from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from flowxfer import Latents
from flowxfer.directions import Attributes
from flowxfer.serve import Limits, create_app

SIZE = 32  # of the tiny model's faces


def face(index: int, size: int = SIZE) -> np.ndarray:
    """A smooth picture, so that the tiny model's latents stay tame."""
    y, x = np.mgrid[0:size, 0:size] * SIZE // size
    return np.stack([3 * x + 20 * index, 3 * y + 10, 2 * x + 2 * y + 15 * index], axis=2).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture)


def performance(*targets: int, smile: int = 4, neutrals=(5, 6)) -> list[tuple[str, bytes]]:
    """The files of a transfer."""
    fields = [("target", index) for index in targets or [0]] + [("expression", smile)]
    return [(name, png(face(index))) for name, index in [*fields, *(("neutral", index) for index in neutrals)]]


@pytest.fixture(scope="session")
def tiny_attributes(tiny_transferer):
    rng = np.random.default_rng(0)
    levels = [0.2 * rng.normal(size=(2, *shape)) for shape in tiny_transferer.manifest.latent_shapes]
    return Attributes(["Smiling", "Male"], Latents(levels, tiny_transferer.manifest.model_hash))


@pytest.fixture(scope="session")
def tiny_app(tiny_transferer, tiny_attributes):
    limits = Limits(max_upload_bytes=1 << 20, max_pixels=1_000_000, max_pictures=12)
    return create_app(tiny_transferer, limits, attributes=tiny_attributes)


@pytest.fixture(scope="module")
def client(tiny_app):
    with TestClient(tiny_app, base_url="http://localhost") as client:
        yield client
