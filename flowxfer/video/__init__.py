"""Films in and out, frame by frame, and what happens to the faces in between."""

from typing import TYPE_CHECKING, Any

from flowxfer.video.io.frames import Box, Frame
from flowxfer.video.io.opening import films_in, open_source
from flowxfer.video.io.sink import Sink, open_sink
from flowxfer.video.io.source import Source
from flowxfer.video.options import Options, Report
from flowxfer.video.pipeline import Progress
from flowxfer.video.processing import drive, edit, process

__all__ = [
    "Box",
    "Frame",
    "Options",
    "Outcome",
    "Progress",
    "Report",
    "Sink",
    "Source",
    "drive",
    "edit",
    "films_in",
    "open_sink",
    "open_source",
    "process",
    "process_folder",
]

if TYPE_CHECKING:
    from flowxfer.cluster.folder import Outcome, process_folder


def __getattr__(name: str) -> Any:
    """Names that were here before folders of films moved to :mod:`flowxfer.cluster`, which builds on this package."""
    if name in ("Outcome", "process_folder"):
        from flowxfer.cluster import folder

        return getattr(folder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
