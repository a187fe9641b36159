"""Who is who: faces told apart by dlib's face recognition network, offline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowxfer.errors import InputError
from flowxfer.faces.alignment import align
from flowxfer.faces.detector import EYES, Detector
from flowxfer.faces.dlib_models import RECOGNITION, dlib_model, import_dlib
from flowxfer.faces.resampling import resample
from flowxfer.faces.similarity import Similarity
from flowxfer.faces.states import numbers
from flowxfer.images import Pixels, Source

__all__ = ["SAME_PERSON", "Embedding", "Person", "Reference", "embed"]

Embedding = NDArray[np.float64]

SAME_PERSON = 0.6
"""The distance below which dlib calls two faces one person; see https://github.com/davisking/dlib-models."""

CROP_PX = 256
"""Side of a crop that is large enough to embed."""

_CHIP_PX = 150  # side of the picture that the network takes
# Where the eyes of aligned faces lie in the pictures that dlib cuts out for its network: the mirrored mean of
# flowxfer's demo people, (48.3, 46.0) and (100.4, 46.0).
_CHIP_EYES = ((48.9, 46.0), (101.1, 46.0))
_MOST_OTHERS = 8  # faces of other people that are remembered


def embed(crop: Pixels) -> Embedding:
    """Turn a face into a point: near points are like faces.

    Args:
        crop: an aligned face, RGB, shape (S, S, 3), uint8; below 128 px it says little.

    Returns:
        Shape (128,).

    Raises:
        MissingExtraError: dlib or its models are not installed.
    """
    to_chip = Similarity.between(np.array(EYES) * len(crop), _CHIP_EYES)
    return np.array(_network().compute_face_descriptor(resample(crop, to_chip, _CHIP_PX, _CHIP_PX)))


@dataclass(frozen=True, eq=False)
class Reference:
    """Choose the face that is most like the largest one of a picture.

    Attributes:
        picture: a path, a PIL image or a uint8 array of any size.
        detector: what finds the face in it; by default dlib.
    """

    picture: Source
    detector: Detector | None = None

    def embedding(self) -> Embedding:
        """Embed the reference.

        Raises:
            InputError: there is no face in the picture.
        """
        faces = align(self.picture, self.detector, CROP_PX)
        if not faces:
            raise InputError("expected a face in the reference picture, found none; take a larger or more frontal one")
        return embed(faces[0].crop)


class Person:
    """One among others: recognised by being near to themselves and nearer than to anybody else seen before.

    Args:
        own: the embedding of that person.
        others: embeddings of people who are not.
    """

    def __init__(self, own: Embedding, others: Sequence[Embedding] = ()) -> None:
        self._own, self._others = own, list(others)

    def pick(self, embeddings: Sequence[Embedding]) -> int | None:
        """Find the person among the faces of one picture and remember the others.

        Returns:
            The index of the nearest face, or None if nobody there is that person.
        """
        distances = [float(np.linalg.norm(one - self._own)) for one in embeddings]
        best = int(np.argmin(distances)) if distances else None
        if best is not None and distances[best] > min(SAME_PERSON, self._nearest_other(embeddings[best])):
            best = None
        for index, one in enumerate(embeddings):
            # A face half hidden is like nobody: who is remembered must be clearly somebody else.
            if index != best and len(embeddings) > 1 and best is not None:
                self._remember(one)
        return best

    def _nearest_other(self, one: Embedding) -> float:
        return min((float(np.linalg.norm(one - other)) for other in self._others), default=np.inf)

    def _remember(self, one: Embedding) -> None:
        known = self._nearest_other(one) < SAME_PERSON / 2
        if not known and len(self._others) < _MOST_OTHERS:
            self._others.append(one)

    @property
    def state(self) -> dict[str, Any]:
        """All that is known of them, as JSON values."""
        return {"own": self._own.tolist(), "others": [other.tolist() for other in self._others]}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Person:
        """Make the person of a :attr:`state`."""
        return cls(numbers(state["own"], 128), [numbers(other, 128) for other in state["others"]])


@cache
def _network() -> Any:
    return import_dlib().face_recognition_model_v1(dlib_model(RECOGNITION))
