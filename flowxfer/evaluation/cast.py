"""Who takes part: people and expressions in the paper's folders, without what cannot be used."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowxfer import images
from flowxfer.errors import ImageError, InputError, ShapeError
from flowxfer.evaluation.action_units import Meter, measured
from flowxfer.evaluation.likeness import Embedder
from flowxfer.images import Pixels

__all__ = ["Cast", "Person", "Skipped", "usable"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Skipped:
    """A picture that was left out, and why."""

    picture: str
    reason: str


@dataclass(frozen=True)
class Person:
    """Somebody, and the files of their aligned pictures."""

    name: str
    pictures: tuple[Path, ...]


@dataclass(frozen=True)
class Cast:
    """Everybody in a folder of the paper's layout: ``id*_aligned`` and ``expressions``.

    People are called as their pictures are, ``emma`` for ``emma1_aligned.png``, where that tells them apart, else after
    their folders: ``id1``.

    Args:
        source: who performs the expressions.
        targets: everybody else.
        expressions: their pictures by number, from 1 on, as in ``expression1``.
    """

    source: Person
    targets: tuple[Person, ...]
    expressions: dict[int, Path]

    @classmethod
    def read(
        cls, folder: str | os.PathLike[str], *, source: str | None = None, expressions: Sequence[str] | None = None
    ) -> Cast:
        """Look who is in a folder, or in its folder ``data``.

        Args:
            folder: where they are.
            source: the performer's name; by default the last person, the paper's ``id5``.
            expressions: names of pictures without suffix, numbered in that order; by default all.

        Raises:
            InputError: there are not two people, the source is not among them, or an expression is not there.
            ImageError: a folder is missing or without pictures.
        """
        root = Path(folder)
        root = root / "data" if (root / "data" / "expressions").is_dir() else root
        people = _people(root)
        names = [person.name for person in people]
        performer = names[-1] if names and source is None else source
        if len(people) < 2 or performer not in names:
            raise InputError(
                f"expected folders id1_aligned, id2_aligned, … of at least two people with {performer or 'the source'} "
                f"among them in {root}, got {', '.join(names) or 'none'}"
            )
        by_name = {path.stem: path for path in images.expand([root / "expressions"])}
        chosen = list(by_name) if expressions is None else list(expressions)
        if missing := [name for name in chosen if name not in by_name]:
            raise InputError(f"expected expressions among {', '.join(by_name)}, got {', '.join(missing)}")
        return cls(
            people[names.index(performer)],
            tuple(person for person in people if person.name != performer),
            {number: by_name[name] for number, name in enumerate(chosen, 1)},
        )


def usable(
    paths: Sequence[Path], size: int, embedder: Embedder | None = None, meter: Meter | None = None
) -> tuple[dict[Path, Pixels], list[Skipped]]:
    """Read pictures; leave out and report what is damaged, not square, or faceless to an embedder or a meter.

    Returns:
        uint8 pictures (size, size, 3) by file, and what was skipped.
    """
    found: dict[Path, Pixels] = {}
    skipped: list[Skipped] = []
    for path in paths:
        try:
            found[path] = images.load(path, size)
        except (ImageError, ShapeError) as error:
            skipped.append(Skipped(str(path), str(error)))
    if embedder is not None and found:
        embeddings = embedder.embed([images.load(path) for path in found])
        for path in [path for path, row in zip(found, embeddings, strict=True) if np.isnan(row).any()]:
            del found[path]
            skipped.append(Skipped(str(path), f"no face found by {embedder.scale}"))
    if meter is not None and found:
        intensities = measured(meter, list(found.values())).intensities
        for path in [path for path, row in zip(found, intensities, strict=True) if np.isnan(row).any()]:
            del found[path]
            skipped.append(Skipped(str(path), f"no face found by {type(meter).__name__}"))
    for picture in skipped:
        log.info("%s is skipped: %s", picture.picture, picture.reason)
    return found, skipped


def _people(root: Path) -> list[Person]:
    folders = [path for path in root.glob("id*_aligned") if path.is_dir()]
    folders.sort(key=lambda path: (len(path.name), path.name))  # id2 before id10
    pictures = [tuple(images.expand([folder])) for folder in folders]
    names = [_common_name(paths) or folder.name for paths, folder in zip(pictures, folders, strict=True)]
    if len(set(names)) < len(names):
        names = [folder.name for folder in folders]
    return [Person(name.removesuffix("_aligned"), paths) for name, paths in zip(names, pictures, strict=True)]


def _common_name(pictures: Sequence[Path]) -> str:
    """The letters that the names of all pictures begin with; empty where they differ."""
    beginnings = {match[0] for path in pictures if (match := re.match(r"[^\W\d_]*", path.stem))}
    return beginnings.pop() if len(beginnings) == 1 else ""
