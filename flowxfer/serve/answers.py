"""Results as answers: a picture, a ZIP of pictures, or latents."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any, Literal

from fastapi import Response
from PIL import Image

from flowxfer.images import Pixels
from flowxfer.latents import Latents
from flowxfer.provenance import Mark, marked

__all__ = ["Asked", "Format", "Images", "latents", "negotiate", "pictures"]

Format = Literal["png", "jpeg"]
Asked = Literal["auto", "png", "jpeg"]
Images = Sequence[Pixels] | Sequence[Image.Image] | Pixels
_WRITTEN: dict[Format, dict[str, Any]] = {
    "png": {"format": "PNG"},
    "jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
}
_SUFFIX: dict[Format, str] = {"png": "png", "jpeg": "jpg"}


def negotiate(asked: Asked, accept: str) -> Format:
    """The format that a request wants: its field's, or JPEG where Accept names it and not PNG, or PNG."""
    if asked != "auto":
        return asked
    return "jpeg" if "image/jpeg" in accept and "image/png" not in accept else "png"


def pictures(images: Images, names: Sequence[str], format: Format, mark: Mark | None) -> Response:
    """One picture as itself, several as a ZIP of files ``NAME.png``; each with its mark, if there is one."""
    data = [_encoded(image, format) for image in images]
    if mark is not None:
        data = [marked(picture, mark) for picture in data]
    if len(data) == 1:
        return Response(data[0], media_type=f"image/{format}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # pictures are compressed already
        for name, content in zip(names, data, strict=True):
            # A date of its own would make the same result other bytes each time.
            archive.writestr(zipfile.ZipInfo(f"{name}.{_SUFFIX[format]}"), content)
    return _file(buffer.getvalue(), "application/zip", "faces.zip")


def latents(z: Latents) -> Response:
    """Latents as a safetensors file."""
    return _file(z.to_bytes(), "application/octet-stream", "latents.safetensors")


def _encoded(image: Pixels | Image.Image, format: Format) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, **_WRITTEN[format])
    return buffer.getvalue()


def _file(data: bytes, media_type: str, name: str) -> Response:
    return Response(data, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
