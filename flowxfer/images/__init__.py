"""Pictures in and out: files, PIL images and arrays ↔ RGB uint8.

Whatever a picture is stored as, what comes out is uint8 RGB, upright:

- the EXIF rotation is applied; an ICC profile is left alone, as OpenAI's and the paper's code leave it;
- transparency is laid over white, grey and palettes become RGB, 16 bits of grey are rounded to 8, those of
  colours cut to 8, as Pillow does;
- of an animation the first frame is taken.
"""

from flowxfer.images.reading import (
    FORMATS,
    SUFFIXES,
    Pixels,
    Source,
    Sources,
    check_no_pipe,
    expand,
    load,
    load_faces,
    pictures_among,
)
from flowxfer.images.saving import check_writable_suffix, save

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "Pixels",
    "Source",
    "Sources",
    "check_no_pipe",
    "check_writable_suffix",
    "expand",
    "load",
    "load_faces",
    "pictures_among",
    "save",
]
