"""One face through a film: found now and then, followed in between, and held still where it is still."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowxfer.errors import InputError, reason
from flowxfer.faces.alignment import Aligned
from flowxfer.faces.detector import Detector, Face
from flowxfer.faces.dlib_detector import DlibDetector
from flowxfer.faces.identity import CROP_PX, Person, Reference, embed
from flowxfer.faces.photo import Choice, choose
from flowxfer.faces.pictures import Picture, Plain
from flowxfer.faces.scenes import Scenes, likeness
from flowxfer.faces.similarity import Points, Similarity
from flowxfer.faces.smoothing import OneEuro
from flowxfer.faces.states import count, numbers, pixels
from flowxfer.images import Pixels

__all__ = ["DETECT_EVERY", "Tracker"]

DETECT_EVERY = 10
"""Frames from one search to the next."""

# In eye distances: the side of the window that is searched about the last face, three times dlib's box; how near two
# faces have to be to be one, and how near another face is watched closely, about one and a half boxes.
_WINDOW, _SAME_PLACE, _CLOSE_BY = 7.5, 0.7, 3.7
_NEAR_SEARCH_PX = 320  # the window is reduced to this: a face of its third is 107 px, dlib's smallest is 80
_NEAR_THRESHOLD = 0.0  # lower than for a whole picture: there was a face just now
_LOOK_PX = 16
# What is followed from frame to frame looks alike: correlations of a face with its next frame's are above .9, those of
# a face and a wall below .4. And no face grows or shrinks by a quarter from one frame to the next.
_ALIKE, _GROWTH = 0.6, 1.25


@runtime_checkable
class Follower(Protocol):
    """A detector that also finds a face again near where it was."""

    def refine(self, image: Pixels, eyes: Points) -> Points:
        """Find the eyes near where they were, as :meth:`DlibDetector.refine` does; the image is grey, (H, W)."""
        ...


@runtime_checkable
class Turning(Protocol):
    """A detector that also sees which way a head is turned."""

    def turn(self, image: Pixels, eyes: Points) -> float:
        """Tell how far, as :meth:`DlibDetector.turn` does; the image is grey, (H, W)."""
        ...


class Tracker:
    """Follows one person through a film, frame by frame.

    The face is looked for in every n-th frame, at once after a cut or when what is followed looks like something else,
    and followed with the landmarks in between. Who was chosen once is held: where several faces come near each other,
    and after every cut, the network of :mod:`flowxfer.faces.identity` says which one it is.

    Args:
        size: of the crops, in pixels.
        face: whom to follow: the largest, the leftmost or a numbered one of the first frame that has such a face, or
            the one most like a :class:`Reference`. Not ``"all"``.
        detector: what finds faces; by default dlib, which searches a small window about the last face where there is
            one. One without ``refine`` searches in every frame.
        every: frames from one search to the next.

    Raises:
        InputError: the choice is none of these, or ``every`` is less than 1.

    Attributes:
        began: whether the last frame's face was found anew, at the beginning, after a cut, or after it was lost.
    """

    def __init__(
        self,
        size: int,
        face: Choice = "largest",
        *,
        detector: Detector | None = None,
        every: int = DETECT_EVERY,
    ) -> None:
        if every < 1:
            raise InputError(f"expected to look for the face every 1 or more frames, got {every}")
        if face == "all" or not (face in ("largest", "leftmost") or isinstance(face, (int, Reference))):
            raise InputError(f"expected largest, leftmost, a number or a Reference to follow one face, got {face!r}")
        self._size, self._face = size, face
        self._wide: Detector = detector or DlibDetector()
        self._near: Detector = detector or DlibDetector(
            longest_side=_NEAR_SEARCH_PX, threshold=_NEAR_THRESHOLD, rounds=0
        )
        self._every = every if isinstance(self._near, Follower) else 1
        self._filter, self._scenes = OneEuro(), Scenes()
        self._person = Person(face.embedding()) if isinstance(face, Reference) else None
        self._found: Face | None = None  # as the last search found it
        self._eyes: Points = np.empty((0, 2))  # where they are now, before the filter
        self._look: NDArray[np.uint8] | None = None  # what the crop showed last
        self._age = 0  # frames since the last search; 0 searches at once
        self._crowd = 0  # faces that the last search saw
        self.began = False

    def follow(self, image: Pixels | Picture, time: float) -> Aligned | None:
        """Find the face in the next frame.

        Args:
            image: RGB, shape (H, W, 3), uint8; or a :class:`Picture`, such as a film's frame.
            time: of the frame, in seconds.

        Returns:
            The face, cut out by its filtered eyes; None where it is not seen.
        """
        self.began = False
        picture = Plain(image) if isinstance(image, np.ndarray) else image
        if self._scenes.cut(picture.grey):
            self._lose()
        aligned = self._followed(picture, time)
        if aligned is None and self._age % self._every == 0:
            aligned = self._searched(picture, time)
        self._age += 1
        return aligned

    def turn(self, image: Pixels | Picture, face: Aligned) -> float:
        """Tell how far a face that was found in an image is turned to its right, in widths of the crop.

        Returns:
            As :meth:`DlibDetector.turn`; 0 where the detector does not see that.
        """
        picture = Plain(image) if isinstance(image, np.ndarray) else image
        return self._near.turn(picture.grey, face.face.eyes) if isinstance(self._near, Turning) else 0.0

    @property
    def state(self) -> dict[str, Any]:
        """All that is needed to go on after the last frame, as JSON values."""
        found = self._found
        return {
            "found": found and {"box": list(found.box), "eyes": found.eyes.tolist(), "score": found.score},
            "eyes": self._eyes.tolist(),
            "look": None if self._look is None else self._look.tolist(),
            "age": self._age,
            "crowd": self._crowd,
            "filter": self._filter.state,
            "scenes": self._scenes.state,
            "person": self._person and self._person.state,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a :attr:`state`, as if nothing had been between.

        Raises:
            InputError: it is none.
        """
        try:
            self._found = None if state["found"] is None else _face(state["found"])
            self._eyes = numbers(state["eyes"] or np.empty((0, 2)), -1 if self._found is None else 2, 2)
            self._look = None if state["look"] is None else pixels(state["look"], _LOOK_PX, _LOOK_PX)
            self._age, self._crowd = count(state["age"]), count(state["crowd"])
            self._filter.restore(state["filter"])
            self._scenes.restore(state["scenes"])
            self._person = None if state["person"] is None else Person.restored(state["person"])
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"expected the state of a tracker, got another or a damaged one: {reason(error)}"
            ) from error

    def _followed(self, image: Picture, time: float) -> Aligned | None:
        """Follow the face from the last frame; None if it is lost, or not the right one any more."""
        if self._found is None:
            return None
        before = self._eyes
        if isinstance(self._near, Follower):
            self._eyes = self._near.refine(image.grey, before)
            growth = _span(self._eyes) / _span(before)
            if not 1 / _GROWTH < growth < _GROWTH:
                self._lose()
                return None
        if self._age % self._every == 0 and not self._confirmed(image):
            return None
        return self._cut(image, time)

    def _confirmed(self, image: Picture) -> bool:
        """Search the window about the face: is it still there, and is it still the same person?"""
        faces = self._nearby(image)
        known = [index for index, face in enumerate(faces) if self._is_here(face)]
        crowd, self._crowd = self._crowd, len(faces)
        if len(faces) != crowd and max(crowd, len(faces)) > 1:
            faces = [replace(face, eyes=self._sought(image, face)) for face in faces]
            known = self._recognised(image, faces)
        if not known:
            self._lose()
            return False
        face = faces[known[0]]
        if not (isinstance(self._near, Follower) and self._is_here(face)):
            self._eyes = face.eyes  # otherwise the landmarks go on from where they were, without a jump
        self._found = Face(face.box, self._eyes, face.score)
        close_by = any(_apart(face, other) < _CLOSE_BY * _span(face.eyes) for other in faces if other is not face)
        self._age = self._every - 1 if close_by else 0  # the next search is due at once, or after a full round
        return True

    def _searched(self, image: Picture, time: float) -> Aligned | None:
        """Search the whole picture for the face that is to be followed."""
        faces = self._wide.detect(image.part(slice(0, image.shape[0]), slice(0, image.shape[1])))
        self._age, self._crowd = 0, len(faces)
        chosen = self._recognised(image, faces) if self._person else self._chosen(image, faces)
        if not chosen:
            return None
        self._found = faces[chosen[0]]
        self._eyes, self._look = self._found.eyes, None
        self._filter.reset()
        self.began = True
        return self._cut(image, time)

    def _chosen(self, image: Picture, faces: list[Face]) -> list[int]:
        """Choose for the first time, and learn who is who."""
        crops = [Aligned.cut(image, face, CROP_PX) for face in faces]
        if not faces or (isinstance(self._face, int) and self._face >= len(faces)):
            return []
        (chosen,) = choose(crops, self._face)
        index = crops.index(chosen)
        embeddings = [embed(one.crop) for one in crops]
        self._person = Person(embeddings[index])
        self._person.pick(embeddings)
        return [index]

    def _recognised(self, image: Picture, faces: list[Face]) -> list[int]:
        assert self._person is not None
        index = self._person.pick([embed(Aligned.cut(image, face, CROP_PX).crop) for face in faces])
        return [] if index is None else [index]

    def _nearby(self, image: Picture) -> list[Face]:
        """Find the faces in a window about the last one."""
        middle, half = self._eyes.mean(0), _WINDOW / 2 * _span(self._eyes)
        middle[1] += _span(self._eyes) / 2  # a face's middle lies below its eyes
        left, top = np.maximum(0, np.floor(middle - half)).astype(int)
        right, bottom = np.ceil(middle + half).astype(int)
        bottom, right = min(bottom, image.shape[0]), min(right, image.shape[1])
        if top >= bottom or left >= right:
            return []
        window = image.part(slice(int(top), int(bottom)), slice(int(left), int(right)))
        place = Similarity(1, complex(left, top))
        return [face.moved(place) for face in self._near.detect(window)]

    def _sought(self, image: Picture, face: Face) -> Points:
        """Find the eyes of a face of the window, which were only guessed where the detector can refine."""
        eyes = face.eyes
        if isinstance(self._near, Follower):
            for _ in range(2):
                eyes = self._near.refine(image.grey, eyes)
        return eyes

    def _is_here(self, face: Face) -> bool:
        return bool(np.hypot(*(face.eyes.mean(0) - self._eyes.mean(0))) < _SAME_PLACE * _span(self._eyes))

    def _cut(self, image: Picture, time: float) -> Aligned | None:
        assert self._found is not None
        moved = self._found.moved(Similarity.between(self._found.eyes, self._filter(self._eyes, time)))
        aligned = Aligned.cut(image, moved, self._size)
        look = np.asarray(Image.fromarray(aligned.crop).convert("L").resize((_LOOK_PX, _LOOK_PX), Image.Resampling.BOX))
        before, self._look = self._look, look
        if before is not None and likeness(before, look) < _ALIKE:
            self._lose()
            return None
        return aligned

    def _lose(self) -> None:
        """Forget where the face was, not who it is, and look for it in the whole picture at once."""
        self._found, self._look, self._age, self._crowd = None, None, 0, 0
        self._filter.reset()


def _span(eyes: Points) -> float:
    return float(np.hypot(*(eyes[1] - eyes[0])))


def _apart(face: Face, other: Face) -> float:
    return float(np.hypot(*(face.eyes.mean(0) - other.eyes.mean(0))))


def _face(state: dict[str, Any]) -> Face:
    left, top, right, bottom = map(float, numbers(state["box"], 4))
    return Face((left, top, right, bottom), numbers(state["eyes"], 2, 2), float(numbers(state["score"])))
