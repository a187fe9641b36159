"""The app's own folder, which ends with it. Gradio must know it before it is imported, or makes others beside it.

A process that is killed leaves its folder behind, with faces in it: the next app that starts removes it, as the lock of
a process goes with the process.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from flowxfer.files import locked_folder

__all__ = ["FOLDER", "size"]

FOLDER, _lock = locked_folder(Path(tempfile.gettempdir()), "flowxfer-app-")
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
os.environ["GRADIO_TEMP_DIR"] = str(FOLDER / "gradio")


def size(folder: Path) -> int:
    """Bytes of all files in a folder, while others come and go."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_size
            except OSError:  # it has gone
                continue
    return total
