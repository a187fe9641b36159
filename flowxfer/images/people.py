"""Synthetic people with true answers, which the paper could not have: those that come with flowxfer, and others."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from flowxfer.errors import InputError, reason
from flowxfer.images.reading import Pixels, load, pictures_among

__all__ = ["TruePeople", "bundled_data"]


def bundled_data(name: str, what: str) -> Path:
    """A file or folder of ``flowxfer/data``.

    Args:
        name: where it is, such as ``film/person.mp4``.
        what: what to call it in an error.

    Raises:
        InputError: it is not in this installation.
    """
    path = Path(str(resources.files("flowxfer") / "data" / name))
    if not path.exists():
        raise InputError(f"expected {what} at {path}, but nothing is there; install flowxfer again")
    return path


@dataclass(frozen=True)
class TruePeople:
    """Synthetic people in the layout of ``data/faces``, with true pictures.

    ``truth/{person}/{name}.png`` is each person with each expression, ``neutral`` among them; ``truth/parameters.json``
    names the performer, ``expressions/{name}.png`` has them performing.

    Args:
        folder: where they are.
        performer: who performs, such as ``id5``.
        targets: everybody else.
        expressions: names.
    """

    folder: Path
    performer: str
    targets: tuple[str, ...]
    expressions: tuple[str, ...]

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> TruePeople:
        """Look who is in a folder.

        Raises:
            InputError: it has no true pictures.
        """
        folder = Path(folder)
        try:
            performer = str(json.loads((folder / "truth" / "parameters.json").read_text(encoding="utf-8"))["source"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"expected people with true pictures, truth/parameters.json, in {folder}: {reason(error)}"
            ) from error
        people = sorted(path.name for path in (folder / "truth").iterdir() if (path / "neutral.png").is_file())
        names = sorted(path.stem for path in pictures_among((folder / "expressions").glob("*.png")))
        return cls(folder, performer, tuple(person for person in people if person != performer), tuple(names))

    @classmethod
    def bundled(cls) -> TruePeople:
        """The people that come with flowxfer.

        Raises:
            InputError: they are not in this installation.
        """
        return cls.read(bundled_data("faces", "the demo people"))

    def truth(self, person: str, expression: str, size: int) -> Pixels:
        """A person with an expression, or ``"neutral"``; uint8 (size, size, 3)."""
        return load(self.folder / "truth" / person / f"{expression}.png", size)

    def faces(self, expression: str, size: int) -> Pixels:
        """Every target with an expression, or ``"neutral"``; uint8 (N, size, size, 3)."""
        return np.stack([self.truth(person, expression, size) for person in self.targets])

    def performed(self, expression: str, size: int) -> Pixels:
        """The performer with an expression, uint8 (size, size, 3)."""
        return load(self.folder / "expressions" / f"{expression}.png", size)

    def neutral(self, size: int) -> Pixels:
        """The performer's neutral picture in the same camera and light, uint8 (1, size, size, 3)."""
        return self.truth(self.performer, "neutral", size)[None]
