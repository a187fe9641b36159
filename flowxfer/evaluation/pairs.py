"""Pictures of people, neutral and with an expression: others perform, and the true answer is known.

Each person of a folder receives what the others perform, by :func:`transfers`, and their own picture with that
expression is what a perfect transfer would come near to. Photographs of which there is one picture alone receive it
too; what is judged then needs no true answer. :mod:`flowxfer.evaluation.observations` judges.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from flowxfer import images
from flowxfer.errors import InputError, reason
from flowxfer.evaluation.action_units import Floats
from flowxfer.images import Pixels, contact_sheets
from flowxfer.latents import Latents
from flowxfer.transferer import Transferer

__all__ = ["NEUTRAL", "Direction", "Pairs", "Scene", "Transfers", "directions", "sheet", "subtraction", "transfers"]

NEUTRAL = "neutral"
"""What a picture without an expression is called."""

TABLE = "pairs.csv"
_COLUMNS = ("picture", "person", "expression")
_SHOWN = 8  # people on a sheet

Direction: TypeAlias = Callable[[Latents, Latents], Latents]
"""Makes expression vectors from the latents of N performers: neutral, and with the expression; N from N and N."""


def directions(flow: Transferer) -> dict[str, Direction]:
    """The ways that a model has to make an expression vector: ``"plain"`` and, where it brings a reader, ``"read"``."""
    found: dict[str, Direction] = {"plain": subtraction}
    if (reader := flow.reader) is not None:
        found["read"] = lambda neutral, expression: reader(expression - neutral)
    return found


def subtraction(neutral: Latents, expression: Latents) -> Latents:
    """The paper's expression vector, ``z_expression − z_neutral``."""
    return expression - neutral


@dataclass(frozen=True)
class Pairs:
    """Whose picture is where.

    Args:
        source: the folder or table that said so.
        pictures: the files by expression, then person; :data:`NEUTRAL` is among the expressions.
    """

    source: Path
    pictures: Mapping[str, Mapping[str, Path]]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Pairs:
        """Look who is in a folder.

        Args:
            path: a folder of ``PERSON_EXPRESSION.png`` or ``PERSON/EXPRESSION.png``, or one whose ``pairs.csv`` says
                whose they are: the columns picture (relative to it), person and expression; or such a file itself.

        Raises:
            InputError: there are no pairs, those of one person alone, or two pictures of one person and expression.
        """
        path = Path(path)
        table = path if path.is_file() else path / TABLE
        found: dict[str, dict[str, Path]] = {NEUTRAL: {}}
        for picture, person, expression in _listed(table) if table.is_file() else _named(path):
            before = found.setdefault(expression, {}).setdefault(person, picture)
            if before != picture:
                raise InputError(f"expected one picture of {person} {expression}, got {before} and {picture}")
        people = {who for name in found if name != NEUTRAL for who in found[name].keys() & found[NEUTRAL].keys()}
        if not people:
            raise InputError(
                f"expected pairs such as ann_neutral.png and ann_smiling.png in {path}, got none; a file {TABLE} with "
                f"the columns {','.join(_COLUMNS)} tells whose pictures of other names are"
            )
        if len(people) == 1:
            raise InputError(
                f"expected pairs of at least two people in {path}, got {people.pop()} alone; somebody else must perform"
            )
        return cls(path, found)

    @property
    def files(self) -> list[Path]:
        """All pictures."""
        return [path for people in self.pictures.values() for path in people.values()]

    def scenes(self, faces: Mapping[Path, Pixels], photographs: Mapping[str, Pixels] | None = None) -> list[Scene]:
        """Make a scene of each expression that at least two people perform.

        Args:
            faces: those of :attr:`files` that can be used, uint8 (S, S, 3).
            photographs: faces of which no true picture is known, by name: they receive in place of the people.

        Raises:
            InputError: no two people are left whose pairs can be used.
        """
        found = []
        for expression in self.pictures.keys() - {NEUTRAL}:
            before, after = self.pictures[NEUTRAL], self.pictures[expression]
            people = tuple(who for who in after if before.get(who) in faces and after[who] in faces)
            if len(people) > 1:
                neutral, performing = (np.stack([faces[files[who]] for who in people]) for files in (before, after))
                own = Scene(expression, people, neutral, performing, people, neutral, performing)
                found.append(own if photographs is None else own.given_to(photographs))
        if not found:
            raise InputError(
                f"expected pairs of at least two people in {self.source} whose faces are found, got fewer; "
                "`flowxfer align` cuts faces out of photographs"
            )
        return sorted(found, key=lambda scene: scene.expression)


@dataclass(frozen=True, eq=False)
class Scene:
    """One expression: who performs it, and who receives it.

    Args:
        expression: its name.
        performers: P names.
        neutral: the performers without it, uint8 (P, S, S, 3).
        performing: the performers with it, likewise.
        people: T names of those who receive.
        target: their pictures, uint8 (T, S, S, 3).
        truth: their true pictures with the expression; None where they are not known. Where they are, those who receive
            are those who perform, in the same order.
    """

    expression: str
    performers: tuple[str, ...]
    neutral: Pixels
    performing: Pixels
    people: tuple[str, ...]
    target: Pixels
    truth: Pixels | None

    def given_to(self, photographs: Mapping[str, Pixels]) -> Scene:
        """The same performers, with other people who receive."""
        return replace(self, people=tuple(photographs), target=np.stack(list(photographs.values())), truth=None)

    def rounds(self, count: int) -> Iterator[tuple[tuple[str, ...], Floats]]:
        """Say who performs for whom, so that nobody performs for themselves: ``count`` times one, then all others.

        Yields:
            The performer's name for each person, ``"mean"`` for all others, and weights (T, P) whose rows sum to 1.
        """
        many, own = len(self.performers), self.truth is not None
        for step in np.linspace(int(own), many - 1, min(count, many - int(own))).astype(int):
            who = (np.arange(len(self.people)) + step) % many
            yield tuple(self.performers[index] for index in who), np.eye(many)[who]
        others = 1 - np.eye(many) if own else np.ones((len(self.people), many))
        yield ("mean",) * len(self.people), others / others.sum(1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Transfers:
    """What one method made of everybody in a scene.

    Args:
        scene: the expression.
        method: who made it; by the mean of all other performers where its name ends in ``mean``.
        alpha: strength.
        performer: T names.
        weights: (T, P): which performers they are.
        pictures: uint8 (T, S, S, 3).
    """

    scene: Scene
    method: str
    alpha: float
    performer: tuple[str, ...]
    weights: Floats
    pictures: Pixels


def transfers(
    flow: Transferer,
    scene: Scene,
    ways: Mapping[str, Direction] | None = None,
    alphas: Sequence[float] = (1.0,),
    *,
    performers: int = 4,
) -> Iterator[Transfers]:
    """Give everybody the expression that others perform.

    Args:
        flow: the model.
        scene: pictures of its size.
        ways: to make an expression vector, by name; by default what :func:`directions` finds.
        alphas: strengths.
        performers: how many of the others perform for each person, one by one; at last their mean does.

    Yields:
        For each performer, then for their mean: every direction and ``"pixels"``, the same arithmetic on pixels, at
        every alpha; at the end ``"none"``, the targets as they are, and ``"truth"`` where that is known.
    """
    ways = directions(flow) if ways is None else ways
    rounds = list(scene.rounds(performers))
    target, neutral, performing = (flow.encode(faces) for faces in (scene.target, scene.neutral, scene.performing))
    vectors = {name: direction(neutral, performing) for name, direction in ways.items()}
    change = scene.performing.astype(np.float64) - scene.neutral
    for performer, weights in rounds:
        suffix = " mean" if performer[0] == "mean" else ""
        for alpha in alphas:
            for name, vector in vectors.items():
                made = flow.manipulate(target, _mixed(weights, vector), alpha)
                yield Transfers(scene, name + suffix, alpha, performer, weights, made)
            made = (scene.target + alpha * np.tensordot(weights, change, 1)).round().clip(0, 255).astype(np.uint8)
            yield Transfers(scene, "pixels" + suffix, alpha, performer, weights, made)
    known = {"none": scene.target} if scene.truth is None else {"none": scene.target, "truth": scene.truth}
    for name, pictures in known.items():
        yield Transfers(scene, name, 0.0 if name == "none" else 1.0, performer, weights, pictures)


def sheet(made: Sequence[Transfers]) -> Image.Image:
    """Show some people of one scene, a row each: given pictures, what was made of them, and the true picture.

    Args:
        made: of one scene; of several performers the first is shown.
    """
    scene = made[0].scene
    shown: dict[tuple[str, float], Transfers] = {}
    for one in made:
        shown.setdefault((one.method, one.alpha), one)
    first = made[0].weights.argmax(1)
    columns = {
        "given": {"target": scene.target, "performer": scene.neutral[first], "performs": scene.performing[first]}
    }
    for (method, alpha), one in shown.items():
        if method not in ("none", "truth"):
            columns.setdefault(f"alpha {alpha:g}", {})[method] = one.pictures
    if scene.truth is not None:
        columns["true"] = {"truth": scene.truth}
    people = np.unique(np.linspace(0, len(scene.people) - 1, _SHOWN).astype(int))
    rows = [[faces[person] for group in columns.values() for faces in group.values()] for person in people]
    return contact_sheets.table(rows, {heading: list(group) for heading, group in columns.items()})


def _mixed(weights: Floats, vectors: Latents) -> Latents:
    """A vector for each of T people: the performers' (P, C, H, W) per level, weighed by (T, P)."""
    levels = [np.tensordot(weights.astype(level.dtype), level, 1) for level in vectors.levels]
    return Latents(levels, vectors.model_hash, vectors.numerics)


def _listed(table: Path) -> Iterator[tuple[Path, str, str]]:
    """Picture, person and expression of each line of a CSV file."""
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file, skipinitialspace=True):
                picture, person, expression = (row[column].strip() for column in _COLUMNS)
                yield table.parent / picture, person, expression
    except (OSError, KeyError, AttributeError, ValueError, csv.Error) as error:
        raise InputError(
            f"expected a table with the columns {','.join(_COLUMNS)} in {table}, but it cannot be read: {reason(error)}"
        ) from error


def _named(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """Picture, person and expression of each picture in a folder and its folders, by their names."""
    if not folder.is_dir():
        raise InputError(f"expected a folder with pairs of pictures at {folder}, but there is none")
    for path in sorted(folder.rglob("*")):
        person, _, expression = "_".join(path.relative_to(folder).with_suffix("").parts).rpartition("_")
        if person and path.suffix.lower() in images.SUFFIXES and path.name[0] != "." and path.is_file():
            yield path, person, expression
