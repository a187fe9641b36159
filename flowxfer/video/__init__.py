"""Films in and out, frame by frame, and what happens to the faces in between."""

from .folder import Outcome, films_in, process_folder
from .frames import Box, Frame
from .options import Options, Report
from .pipeline import Progress
from .processing import drive, edit, process
from .sink import Sink, open_sink
from .source import Source, open_source

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
