"""The app's own folder. Gradio must know it before it is imported, or makes others beside it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["FOLDER"]

FOLDER = Path(tempfile.mkdtemp(prefix="flowxfer-app-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
os.environ["GRADIO_TEMP_DIR"] = str(FOLDER / "gradio")
