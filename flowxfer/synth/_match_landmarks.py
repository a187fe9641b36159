"""Find the vertex of the head that each of MediaPipe's landmarks is; printed, it is the table `landmark_vertices`.

    python -m flowxfer.synth._match_landmarks

Rendered people are looked at by the landmarker (extra ``landmarks``), and every landmark gets the vertex that is
nearest to it in all of their pictures. The head is the same on both sides, and so is the table: a landmark and its
mirror image have vertices that are mirror images too, and no two landmarks share one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from flowxfer.faces.landmarker import FaceLandmarker
from flowxfer.synth.dataset import Shoot
from flowxfer.synth.expressions import expression
from flowxfer.synth.head import SKIN
from flowxfer.synth.head_cache import load_head
from flowxfer.synth.landmark_rig import LANDMARKS, on_picture

Points = NDArray[np.float64]
Indices = NDArray[np.int64]

_NAMES = ("neutral", "open", "closed", "smile", "surprise", "pucker", "anger")
_PEOPLE = range(100, 124)  # of the demo's seeds
_SIZE = 256
_FAR_PX = 15.0  # beyond it a landmark is simply wrong, and how wrong tells nothing


def match_landmarks(people: Iterable[int] = _PEOPLE) -> tuple[Indices, Points]:
    """Find the vertex of each landmark.

    Args:
        people: seeds of who is looked at.

    Returns:
        Vertices of the head, shape (468,), and how far the landmarks lie from them, root mean square in pixels of 256.
    """
    head = load_head()
    skin = np.unique(head.triangles[head.materials == SKIN])
    front = skin[head.template[skin, 2] > 0.3]
    other = _mirrored(head.template[front])
    looks, places, squares = 0, np.zeros((LANDMARKS, 2)), np.zeros((LANDMARKS, len(front)))
    for landmarks, vertices in _looks(people, front):
        looks += 1
        places += landmarks - landmarks.mean(0)
        squares += np.minimum(((landmarks[:, None] - vertices) ** 2).sum(-1), _FAR_PX**2)
    squares /= looks
    chosen = _assigned(squares, places / looks, other, head.template[front, 0])
    return front[chosen], np.sqrt(squares[np.arange(LANDMARKS), chosen])


def _looks(people: Iterable[int], vertices: Indices) -> Iterator[tuple[Points, Points]]:
    """Yield, picture by picture, where landmarks were found and where vertices lie, in pixels."""
    landmarker = FaceLandmarker()
    for seed in people:
        shoot = Shoot.sample(seed, jitter=1.5)
        for name in _NAMES:
            weights = expression(name)
            found = landmarker.landmarks(shoot.picture(weights, size=_SIZE))
            if found is not None:
                yield found[:LANDMARKS], on_picture(shoot, weights, vertices, _SIZE)


def _mirrored(points: Points) -> Indices:
    """For each point the index of its mirror image."""
    from scipy.spatial import KDTree

    return np.asarray(KDTree(points).query(points * (-1, 1, 1))[1], np.int64)


def _partners(places: Points) -> Indices:
    """Pair landmarks, at ``places`` (468, 2) about the middle of the face, with their mirror images."""
    from scipy.optimize import linear_sum_assignment

    gaps = ((places[:, None] - places * (-1, 1)) ** 2).sum(-1)
    partners = np.asarray(linear_sum_assignment(gaps)[1], np.int64)
    if (partners[partners] != np.arange(LANDMARKS)).any():
        raise RuntimeError("some landmark is not its mirror image's mirror image: look at more people")
    return partners


def _assigned(squares: Points, places: Points, other: Indices, x: Points) -> Indices:
    """Assign vertices at least cost: landmarks in the middle and one of each pair, whose partner follows."""
    from scipy.optimize import linear_sum_assignment

    partners, chosen = _partners(places), np.empty(LANDMARKS, np.int64)
    both = squares + squares[partners][:, other]
    middle = partners == np.arange(LANDMARKS)
    right = ~middle & (places[:, 0] < places[partners, 0])
    for rows, columns in ((middle, x == 0), (right, x < 0)):
        row, column = linear_sum_assignment(both[np.ix_(rows, columns)])
        chosen[np.flatnonzero(rows)[row]] = np.flatnonzero(columns)[column]
    chosen[partners[right]] = other[chosen[right]]
    return chosen


def main() -> int:
    """Print the table."""
    vertices, errors = match_landmarks()
    print(f"{errors.mean():.2f} px off on average, {errors.max():.1f} at most", file=sys.stderr)
    print(", ".join(map(str, vertices)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
