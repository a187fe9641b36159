from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A photograph, 96 wide and 64 high, in which a face is found."""
    from flowxfer.faces import Aligned, Face

    y, x = np.mgrid[0:64, 0:96]
    pixels = np.stack([2 * x, 3 * y, x + y], axis=2).astype(np.uint8)
    face = Face((20, 10, 60, 50), np.array([[35.0, 26.0], [48.0, 26.0]]), 1.0)
    monkeypatch.setattr("flowxfer.app.faces.align", lambda picture, *, size: [Aligned.cut(picture, face, size)])
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"
