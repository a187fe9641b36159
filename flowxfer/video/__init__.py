"""Films in and out, frame by frame, and what happens to the faces in between."""

from flowxfer.video.folder import Outcome, films_in, process_folder
from flowxfer.video.frames import Box, Frame
from flowxfer.video.options import Options, Report
from flowxfer.video.pipeline import Progress
from flowxfer.video.processing import drive, edit, process
from flowxfer.video.sink import Sink, open_sink
from flowxfer.video.source import Source, open_source

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
