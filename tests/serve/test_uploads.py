"""Files that are broken, or made to do harm."""

from __future__ import annotations

import io
import json
import struct
import zlib

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from flowxfer import Latents
from flowxfer.latents import MODEL_KEY
from tests.serve.conftest import SIZE, face, png


def refused(client, data, status, path="encode", field="faces"):
    answer = client.post(f"/v1/{path}", files={field: data})
    assert answer.status_code == status, answer.text[:200]
    assert list(answer.json()) == ["error"]
    return answer.json()["error"]


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kB that would be a huge picture."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [1001, 10_000, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(client, side):
    data = bomb(side, side)
    assert len(data) < 2000
    sentence = refused(client, data, 413)
    assert sentence == "expected at most 1,000,000 pixels in faces, got more; make it smaller first"


@pytest.mark.parametrize("data", [b"", b"no picture", b"GIF89", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>"])
def test_what_is_no_picture(client, data):
    assert "expected a picture (PNG, JPEG, WebP, …) or latents (safetensors) in faces" in refused(client, data, 415)


def test_damaged_pictures(client):
    assert refused(client, png(face(0))[:-40], 422).startswith("faces: the image is damaged or cut short")
    flat = np.full((SIZE, SIZE), 0.5, np.float32)
    buffer = io.BytesIO()
    Image.fromarray(flat).save(buffer, "TIFF")
    assert "faces: expected 8 or 16 bits a colour" in refused(client, buffer.getvalue(), 422)


def test_a_picture_that_is_not_square_names_align(client):
    sentence = refused(client, png(face(0)[:20]), 422)
    assert "expected a square picture of an aligned face in faces, got 32x20 pixels; align=true finds" in sentence


def test_a_pickle_is_not_even_opened(client):
    import pickle

    assert refused(client, pickle.dumps({"z0": 1}), 415, "decode", "latents") == (
        "expected latents as a safetensors file in latents, got something else"
    )


@pytest.fixture
def z(tiny_transferer):
    return tiny_transferer.encode(face(0))


def packed(z: Latents, **changes) -> bytes:
    arrays = {f"z{index}": np.ascontiguousarray(level) for index, level in enumerate(z.levels)}
    return safetensors.numpy.save({**arrays, **changes}, metadata={MODEL_KEY: z.model_hash})


def test_latents_that_cannot_be_used(client, z):
    def sentence(data, status=422):
        return refused(client, data, status, "decode", "latents")

    assert client.post("/v1/decode", files={"latents": packed(z)}).status_code == 200
    assert "expected finite latents of at least one face" in sentence(packed(z, z1=z.levels[1] * np.nan))
    assert "z0 to z2 of (faces, C, H, W)" in sentence(packed(z, z1=z.levels[1][:, :3].copy()))
    assert "z0 to z2 of (faces, C, H, W)" in sentence(packed(z, z3=z.levels[2]))
    assert "z0 to z2 of (faces, C, H, W)" in sentence(packed(z, z0=z.levels[0].astype(np.int32)))
    assert "with the same N" in sentence(packed(z, z0=np.concatenate([z.levels[0]] * 2)))
    assert "expected finite latents of at least one face" in sentence(packed(Latents([x[:0] for x in z.levels], "")))
    assert "expected latents of model" in sentence(packed(Latents(z.levels, "another")))
    many = Latents([np.repeat(level, 13, 0) for level in z.levels], z.model_hash)
    assert "expected at most 12 faces in a request, got 13; send several" in sentence(packed(many), 413)
    assert "it cannot be read" in sentence(packed(z)[:1000])
    assert "it cannot be read" in sentence(struct.pack("<Q", 1 << 60) + b"{}")
    header = json.dumps({"__metadata__": {MODEL_KEY: z.model_hash}}).encode()
    assert "expected latents that flowxfer saved in latents, got arrays []" in sentence(
        struct.pack("<Q", len(header)) + header
    )


def test_latents_and_pictures_do_not_mix_in_a_field(client, z):
    answer = client.post("/v1/encode", files=[("faces", packed(z)), ("faces", png(face(0)))])
    assert answer.json()["error"] == "expected pictures, or one file of latents, in faces, got 2 files"
