"""Films in and out, frame by frame, and what happens to the faces in between."""

from flowxfer.video.folder import Outcome, films_in, process_folder
from flowxfer.video.io.frames import Box, Frame
from flowxfer.video.options import Options, Report
from flowxfer.video.pipeline import Progress
from flowxfer.video.processing import drive, edit, process
from flowxfer.video.io.sink import Sink, open_sink
from flowxfer.video.io.source import Source
from flowxfer.video.io.opening import open_source

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
