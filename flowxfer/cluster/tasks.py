"""What workers are given, and what comes back from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

from flowxfer.errors import FlowxferError
from flowxfer.faces import Face

__all__ = [
    "Coded",
    "Done",
    "Ending",
    "Faces",
    "Failure",
    "Film",
    "FilmTask",
    "Input",
    "Part",
    "Photo",
    "Result",
    "Seen",
    "Task",
    "in_groups",
    "sentence",
]

_GROUP = 8
"""Faces that go through the model together, and are done again together where a worker is lost."""


@dataclass(frozen=True)
class Faces:
    """Pictures of aligned faces.

    Attributes:
        sources: the pictures.
        outputs: where each result goes.
    """

    sources: tuple[Path, ...]
    outputs: tuple[Path, ...]


@dataclass(frozen=True)
class Photo:
    """A whole photograph, and where the result goes."""

    source: Path
    output: Path


@dataclass(frozen=True)
class FilmTask:
    """A film, and where the result and its log go.

    Attributes:
        source: the film.
        output: the result; its suffix is the container's.
        log: a line for each frame; None writes no log, and so does :func:`flowxfer.cluster.run`.
    """

    source: Path
    output: Path
    log: Path | None = None


@dataclass(frozen=True)
class Film:
    """A film that is to be followed and cut into parts.

    Attributes:
        source: the film.
        output: tells it from others.
        folder: for the segments.
        segment: number of the first that is not safe yet.
        first: index of its first frame.
        state: of the tracker before that frame; None at the beginning.
        segment_frames: frames of a segment.
        frames: of the whole film, an estimate; None if nobody knows.
    """

    source: Path
    output: Path
    folder: Path
    segment: int
    first: int
    state: dict[str, Any] | None
    segment_frames: int
    frames: int | None


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame as the follower saw it.

    Attributes:
        time: when it is shown, in seconds from the film's beginning.
        digest: of the decoder's picture: a worker that decodes others has been led astray by the film's index.
        face: that which is to change; None leaves the frame as it is.
    """

    time: Fraction
    digest: bytes
    face: Face | None


@dataclass(frozen=True, eq=False)
class Part:
    """A segment of a film, with all that is needed to make it apart from the others.

    Attributes:
        film: where it belongs.
        number: of the segment.
        first: index of its first frame.
        seen: its frames.
        state: of the tracker after the last of them.
    """

    film: Film
    number: int
    first: int
    seen: tuple[Seen, ...]
    state: dict[str, Any]


@dataclass(frozen=True)
class Done:
    """A picture that is written."""

    source: Path
    output: Path


@dataclass(frozen=True, eq=False)
class Coded:
    """A segment that is written, and its entry in the journal of the film at ``output``."""

    output: Path
    number: int
    entry: dict[str, Any]


@dataclass(frozen=True)
class Ending:
    """The film at ``output`` is followed to its end and has so many segments."""

    output: Path
    segments: int


@dataclass(frozen=True)
class Failure:
    """What was wrong with an input, as a sentence."""

    source: Path
    why: str


Input: TypeAlias = "Faces | Photo | Film"
Task: TypeAlias = "Input | Part"
Result: TypeAlias = "Done | Coded | Ending | Failure"


def in_groups(pairs: Sequence[tuple[Path, Path]]) -> list[Faces]:
    """Group pictures of aligned faces, each with the place for its result.

    The groups are the same whatever the number of workers, and so are the batches that the model sees.
    """
    groups = [pairs[begin : begin + _GROUP] for begin in range(0, len(pairs), _GROUP)]
    return [Faces(*(tuple(paths) for paths in zip(*group, strict=True))) for group in groups]


def sentence(error: Exception) -> str:
    """Say what was wrong."""
    if isinstance(error, FlowxferError):
        return str(error)
    if isinstance(error, OSError):
        reason = str(error.strerror or error)
        return f"{reason}: {error.filename}" if error.filename else reason
    return f"{type(error).__name__}: {error}"  # a mistake of ours, or of a library
