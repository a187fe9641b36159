"""How much one service takes on."""

from __future__ import annotations

from dataclasses import dataclass, fields

from flowxfer.errors import InputError

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """What a service accepts; what goes beyond is refused with a sentence that names the limit.

    Attributes:
        max_queue: requests that are worked on or wait, together; each beyond is answered with 503.
        max_upload_bytes: of one request's body.
        max_pixels: of one picture, known from its header before a pixel is decoded.
        max_pictures: faces that one request may bring or ask for.
        timeout_s: seconds from the end of a request's head to its answer; the head may take ten, or as many if these
            are fewer.
        max_connections: clients that are connected, at work or not; fewer where the system lets the process open few
            files. Beyond, the one that has been idle longest is cut off.

    Raises:
        InputError: one is less than 1.
    """

    max_queue: int = 64
    max_upload_bytes: int = 16 << 20
    max_pixels: int = 24_000_000
    max_pictures: int = 64
    timeout_s: float = 60
    max_connections: int = 512

    def __post_init__(self) -> None:
        for limit in fields(self):
            if (value := getattr(self, limit.name)) < 1:
                raise InputError(f"expected {limit.name} of at least 1, got {value}")
