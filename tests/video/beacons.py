"""Films of a face that is found at once: a white dot between two eyes that only the detector sees."""

from __future__ import annotations

import numpy as np

from flowxfer.faces import Face, align

HEIGHT, WIDTH, APART = 72, 96, 12.0  # the eyes' distance, in pixels


class Beacons:
    """A detector that finds a face about each white dot."""

    def detect(self, image):
        white = (image > 235).all(axis=2)
        if not white.any():
            return []
        rows, columns = np.nonzero(white)
        x, y = columns.mean() + 0.5, rows.mean() + 0.5
        eyes = np.array([[x - APART / 2, y], [x + APART / 2, y]])
        return [Face((x - 15, y - 12, x + 15, y + 18), eyes, 2.5)]


def picture(x: float | None, y: float = 34, shade: float = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A soft pattern with a dot at (x, y); None leaves it out."""
    rows, columns = np.mgrid[0:height, 0:width]
    canvas = np.stack([90 + columns / 2 + shade, 80 + rows, 110 + shade + rows / 3 - columns / 4], axis=2)
    if x is not None:
        left, top = round(x) - 2, round(y) - 2
        canvas[top : top + 4, left : left + 4] = 255
    return canvas.clip(0, 255).astype(np.uint8)


def walk(frames: int, missing: range = range(0), shade: float = 0) -> list[np.ndarray]:
    """A dot that goes to the right and back, a pixel a frame, in a light that wanders."""
    places = [30 + abs(index % 60 - 30) for index in range(frames)]
    return [
        picture(None if index in missing else x, shade=shade + 5 * np.sin(index / 3)) for index, x in enumerate(places)
    ]


def crop(image: np.ndarray, size: int = 32) -> np.ndarray:
    """The one aligned face of a picture."""
    (found,) = align(image, Beacons(), size)
    return found.crop
