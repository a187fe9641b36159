"""What can be chosen about a film's processing, and what is told when it is done."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flowxfer.faces import Choice, Detector, Paste
from flowxfer.faces.tracking import DETECT_EVERY
from flowxfer.provenance import Mark
from flowxfer.video.pipeline import Progress

__all__ = ["Options", "Report"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a film is processed; whatever it is processed for.

    Attributes:
        face: whose face changes: the largest, the leftmost, a number from the left, or one like a
            :class:`~flowxfer.faces.Reference`; chosen once and held.
        performer: which of several faces in a driver performs, likewise.
        detector: what finds faces; by default dlib.
        detect_every: frames from one search for the face to the next; between them it is followed.
        smooth: share of the past in the latents, 0 to below 1, see :class:`~flowxfer.video.changes.Smoothing`.
        paste: how faces come back, see :mod:`flowxfer.faces.paste`; by default :func:`~flowxfer.faces.paste_blend` for
            an edit, and :func:`~flowxfer.faces.paste_face` where a film drives.
        start: seconds; where to begin.
        end: seconds; where to stop.
        rate: frames per second, where the source is pictures.
        deinterlace: make whole pictures of interlaced ones; otherwise H.264, ProRes, MPEG-2 and FFV1 keep the fields.
        codec: of the film that is written, see :func:`~flowxfer.video.open_sink`.
        quality: likewise.
        resume: go on with an unfinished run.
        overwrite: replace what is there, be it the output, the log or the preview.
        keep: files that are never replaced, such as the performer's pictures; the source and the driver always are.
        log: a file for one JSON line a frame: index, time, whether a face was found, its score, box and alpha.
        preview: write every n-th frame on one sheet, NAME.preview.png beside the output.
        mark: what the output and the preview say of how they were made, to which the strength is added; by default
            nothing.
        progress: is told after each frame, of the study of a performer too, and now and then while none comes; what it
            raises ends the run.
    """

    face: Choice = "largest"
    performer: Choice = "largest"
    detector: Detector | None = None
    detect_every: int = DETECT_EVERY
    smooth: float = 0.0
    paste: Paste | None = None
    start: float | None = None
    end: float | None = None
    rate: float | None = None
    deinterlace: bool = False
    codec: str | None = None
    quality: int | None = None
    resume: bool = False
    overwrite: bool = False
    keep: tuple[Path, ...] = ()
    log: str | os.PathLike[str] | None = None
    preview: int | None = None
    mark: Mark | None = None
    progress: Callable[[Progress], None] | None = None


@dataclass(frozen=True)
class Report:
    """What became of a film.

    Attributes:
        output: where it is.
        frames: how many it has.
        found: in how many of them there was a face to change; the others went through as they were.
    """

    output: Path
    frames: int
    found: int
