"""A film's file, open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer

from flowxfer.errors import VideoError
from flowxfer.video.io.bounds import OPTIONS, check_opening, patiently

__all__ = ["open_film"]


@contextmanager
def open_film(path: Path) -> Iterator[InputContainer]:
    """Open a film and close it again.

    Raises:
        VideoError: there is no such file, no film in it, or it takes too much to open it.
    """
    try:
        check_opening(path)
        # Absolute, for FFmpeg takes what stands before a colon for a protocol.
        container = patiently(lambda: av.open(os.path.abspath(path), "r", container_options=OPTIONS))
    except (FileNotFoundError, IsADirectoryError):
        raise VideoError(f"expected a film at {path}, but there is no such file") from None
    except av.ArgumentError as error:
        raise VideoError(
            f"expected a film in {path}, such as MP4, MOV, Matroska, WebM, AVI or MPEG, got another kind of file;"
            " playlists are not followed"
        ) from error
    except VideoError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        what = "an empty file" if path.stat().st_size == 0 else "none, or one that is damaged or cut short"
        raise VideoError(f"expected a film in {path}, got {what} ({_reason(error)})") from error
    with container:
        yield container


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)
