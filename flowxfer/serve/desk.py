"""What every route does the same way: reading uploads within the limits, handing pictures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import BinaryIO

import numpy as np
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Request, Response, UploadFile

from flowxfer.errors import InputError, shortened
from flowxfer.latents import Latents
from flowxfer.provenance import Mark, Marks
from flowxfer.serve import answers, uploads
from flowxfer.serve.answers import Format, Images
from flowxfer.serve.limits import Limits
from flowxfer.serve.problems import Refusal
from flowxfer.serve.service import Faces, Service
from flowxfer.types import Alpha

__all__ = ["Desk"]


class Desk:
    """One request's way to the service of its application.

    Args:
        request: the request.
    """

    def __init__(self, request: Request) -> None:
        if names := shortened(", ".join(request.query_params)):
            raise Refusal(422, f"expected the fields in the body, got {names} in the address; nobody would read it")
        self.service: Service = request.app.state.service
        self._limits: Limits = request.app.state.limits
        self.marks: Marks = request.app.state.marks
        self._decoders: CapacityLimiter = request.app.state.decoders

    async def faces(self, fields: Mapping[str, Sequence[UploadFile]], *, align: bool = False) -> list[Faces]:
        """Read the files of each field: pictures as (N, S, S, 3), uint8, or latents.

        Raises:
            Refusal: there are too many, or one is neither picture nor latents.
            InputError: one cannot be used.
        """
        self.check_count(sum(map(len, fields.values())))
        return [
            await run_sync(self._read, name, [file.file for file in files], align, limiter=self._decoders)
            for name, files in fields.items()
        ]

    async def latents(self, name: str, file: UploadFile) -> Latents:
        """Read a file of latents of the service's model.

        Raises:
            Refusal: it is none, or has too many faces.
            LatentsError: they are damaged, or of another model.
        """
        return await run_sync(self._read_latents, name, file.file, limiter=self._decoders)

    def check_count(self, count: int) -> None:
        """Refuse more faces than a request may bring or ask for.

        Raises:
            Refusal: there are more.
        """
        if count > self._limits.max_pictures:
            raise uploads.too_many(count, self._limits)

    def edited(self, *alphas: Alpha) -> Mark | None:
        """The mark of pictures that were changed, in these strengths."""
        return self.marks.edited(self.service.flow.manifest, *alphas)

    async def pictures(self, images: Images, names: Sequence[str], format: Format, mark: Mark | None) -> Response:
        """Answer with pictures.

        Args:
            images: one for each name.
            names: of the files in the ZIP, where there are several.
            format: of the pictures.
            mark: what they say of how they were made; None for nothing.
        """
        return await run_sync(answers.pictures, images, names, format, mark)

    def _read(self, name: str, files: Sequence[BinaryIO], align: bool) -> Faces:
        if any(uploads.is_latents(file) for file in files):
            if len(files) > 1:
                raise InputError(f"expected pictures, or one file of latents, in {name}, got {len(files)} files")
            return self._read_latents(name, files[0])
        size = self.service.flow.size
        return np.stack([uploads.read_face(file, name, size, self._limits, align=align) for file in files])

    def _read_latents(self, name: str, file: BinaryIO) -> Latents:
        manifest = self.service.flow.manifest
        latents = uploads.read_latents(file, name, manifest.latent_shapes, self._limits)
        latents.check(manifest.model_hash, self.service.flow.numerics)
        return latents
