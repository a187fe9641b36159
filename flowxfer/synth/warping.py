"""Pixels moved by thin-plate splines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates
from scipy.spatial import KDTree

from flowxfer.images import Pixels

__all__ = ["displacements", "sample", "spline"]

Points = NDArray[np.float64]

_NODES = 44  # of the grid, along each side, at which a picture's spline is worked out
_SMOOTHING = 0.5 / 256**2  # landmarks tremble: of a squared width, what passing one by costs
_NEAR, _FAR = 0.05, 0.25  # widths from the nearest landmark: pixels up to there move in full, from there not at all
_BORDER = 0.08  # widths from the picture's sides and from above, where moving begins
_STILL, _MOVED = 0.1 / 256, 0.5 / 256  # widths: pixels that would move by less stay, by more move in full


def spline(start: Points, end: Points, places: Points, smoothing: float) -> Points:
    """Tell from where things come to places, when points have moved from ``start`` to ``end``.

    Args:
        start: shape (n, 2).
        end: shape (n, 2).
        places: shape (m, 2).
        smoothing: as `scipy.interpolate.RBFInterpolator` takes it; at 0 the spline passes through all points.

    Returns:
        Displacements, to be added to the places, shape (m, 2).
    """
    interpolator = RBFInterpolator(end, start - end, kernel="thin_plate_spline", smoothing=smoothing)
    return np.asarray(interpolator(places))


def displacements(start: Points, end: Points, size: int) -> Points:
    """Tell from where each pixel of a picture comes when the landmarks of its face have moved.

    Around the face what moves fades away, and the borders stay, save the lower one, which a chin may leave.

    Args:
        start: landmarks, shape (n, 2), in pixels.
        end: where they go, shape (n, 2).
        size: of the picture, in pixels.

    Returns:
        What is to be added to the centre of each pixel, shape (size, size, 2): x and y, exactly 0 where nothing moves.
    """
    nodes = np.linspace(0.5, size - 0.5, _NODES)
    grid = np.stack(np.meshgrid(nodes, nodes), -1)
    moves = spline(start, end, grid.reshape(-1, 2), _SMOOTHING * size**2).reshape(grid.shape)
    away = KDTree(end).query(grid)[0] / size
    border = np.minimum(np.minimum(grid[..., 0], size - grid[..., 0]), grid[..., 1]) - 0.5
    moves *= (_rising(away, _FAR, _NEAR) * _rising(border / size, 0, _BORDER))[..., None]
    fine = _refined(moves, size)
    return np.asarray(fine * _rising(np.linalg.norm(fine, axis=2, keepdims=True) / size, _STILL, _MOVED))


def sample(picture: Pixels | Points, x: Points, y: Points) -> Points:
    """Read a picture between its pixels.

    Args:
        picture: shape (H, W, 3).
        x: in pixels, of any shape; beyond the border its nearest pixel is read.
        y: likewise.

    Returns:
        float64, shape (…, 3).
    """
    place = np.stack([y, x]) - 0.5
    channels = (
        map_coordinates(channel, place, np.float64, order=1, mode="nearest") for channel in np.moveaxis(picture, 2, 0)
    )
    return np.stack([*channels], -1)


def _rising(values: Points, low: float, high: float) -> Points:
    """From 0 at ``low`` smoothly to 1 at ``high``."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share**2 * (3 - 2 * share))


def _refined(coarse: Points, size: int) -> Points:
    """Interpolate linearly from the nodes (n, n, 2) to the pixels (size, size, 2)."""
    place = np.linspace(0, len(coarse) - 1, size)
    weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(len(coarse))))
    return np.stack([weights @ coarse[..., k] @ weights.T for k in (0, 1)], -1)
