"""Picture sets on disk: paired groups for training, people x named expressions for evaluation.

A set is a uint8 ``.npy`` that can be memory-mapped, with an ``.npz`` of the same name beside it that holds the true
parameters. People's seeds are split once and for all, so that nobody is in two sets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flowxfer.errors import InputError
from flowxfer.files import replacing
from flowxfer.synth.expressions import NAMED, NEUTRAL, expression, sample_training
from flowxfer.synth.people import Person
from flowxfer.synth.renderer import Sitter, render
from flowxfer.synth.scene import Background, Camera, Light

__all__ = [
    "DEMO_SEEDS",
    "EVALUATION_SEEDS",
    "EVALUATION_STRENGTHS",
    "TRAINING_START",
    "Progress",
    "Shoot",
    "levels",
    "plan_group",
    "stacked",
    "training_shards",
    "write_evaluation",
    "write_pictures",
    "write_shards",
    "write_training",
    "write_truth",
]

# Who may be in which set.
DEMO_SEEDS = range(0, 100_000)
EVALUATION_SEEDS = range(100_000, 1_000_000)
TRAINING_START = 1_000_000  # the training set of seed s starts at (1 + s) times this

EVALUATION_STRENGTHS = (0.5, 0.7, 1.0)

Progress = Callable[[int, int, float], None]  # pictures done, pictures in all, pictures per second


class Shoot(NamedTuple):
    """A sitter with the camera, light and background that all their pictures share."""

    sitter: Sitter
    camera: Camera
    light: Light
    background: Background

    @classmethod
    def sample(cls, seed: int, *, jitter: float = 1.0) -> Shoot:
        """Draw the person of a seed and where they are photographed; ``jitter`` scales how much that varies."""
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 2])))
        scene = (
            Camera.sample(rng, jitter=jitter),
            Light.sample(rng, jitter=jitter),
            Background.sample(rng, jitter=jitter),
        )
        return cls(Sitter.of(Person.sample(seed)), *scene)

    def picture(self, expression: np.ndarray = NEUTRAL, *, size: int = 64) -> np.ndarray:
        """Take one picture, (size, size, 3) uint8."""
        return render(self.sitter, expression, self.camera, light=self.light, background=self.background, size=size)


def training_shards(path: Path, groups: int, shard: int) -> list[tuple[Path, range]]:
    """List the files that hold a training set with the groups in each: ``path`` alone, or numbered names beside it."""
    if groups <= shard:
        return [(path, range(groups))]
    starts = range(0, groups, shard)
    return [
        (path.with_name(f"{path.stem}_{i:03d}{path.suffix}"), range(start, min(start + shard, groups)))
        for i, start in enumerate(starts)
    ]


def write_training(
    path: Path,
    *,
    groups: int,
    people: int = 4,
    expressions: int = 6,
    size: int = 64,
    seed: int = 0,
    jitter: float = 1.0,
    shard: int = 200,
    progress: Progress | None = None,
) -> list[Path]:
    """Render the paired training set; shards that exist already are kept, so that a stopped run goes on.

    In a group, ``people`` people share ``expressions`` expressions. ``pictures[g, i]`` are person i's neutral face and
    then, for every expression, the face at full strength and at a strength in [0.3, 0.85] that the group shares. Their
    camera, light and background are the same in all of them and differ from the others'.

    Args:
        path: a ``.npy``; shape (groups, people, 1 + 2 expressions, size, size, 3), uint8. The ``.npz`` beside it has
            ``strengths`` (g, e), ``expressions`` (g, e, 52), ``seeds`` (g, people) and one array per attribute.
        groups: how many.
        people: in a group.
        expressions: that a group shares.
        size: pixels of a side.
        seed: of the set; another one gives other people and other expressions.
        jitter: how much camera, light and background vary; 0 not at all.
        shard: groups per file.
        progress: is told of every person.

    Raises:
        InputError: a path that does not end in ``.npy``, or nothing to render.
    """
    if path.suffix != ".npy" or min(groups, people, expressions, shard) < 1:
        raise InputError(f"expected a .npy and at least one group, got {path.name!r} and {groups} groups of {people} "
                         f"people with {expressions} expressions")  # fmt: skip

    def write(file: Path, numbers: range) -> None:
        plans = [plan_group(seed, g, people, expressions) for g in numbers]
        shape = (len(plans), people, 1 + 2 * expressions, size, size, 3)
        shots = ((Shoot.sample(s, jitter=jitter), levels(plan)) for plan in plans for s in plan["seeds"])
        attributes = _write_shots(file, shape, shots, progress)
        write_truth(file, stacked(plans), {k: v.reshape(shape[:2] + v.shape[1:]) for k, v in attributes.items()})

    return write_shards(path, groups, shard, write)


def write_evaluation(
    path: Path, *, people: int = 48, size: int = 64, jitter: float = 1.0, progress: Progress | None = None
) -> Path:
    """Render people that training never sees with every named expression at `EVALUATION_STRENGTHS`.

    Args:
        path: a ``.npy``; shape (people, 1 + 3 names, size, size, 3), uint8: the neutral face, then for every name of
            `NAMED` one face per strength. The ``.npz`` beside it has ``names``, ``strengths``, ``seeds`` and the
            attributes.
        people: how many.
        size: pixels of a side.
        jitter: how much camera, light and background vary; 0 not at all.
        progress: is told of every person.

    Raises:
        InputError: a path that does not end in ``.npy``, or more people than `EVALUATION_SEEDS` has.
    """
    if path.suffix != ".npy" or not 1 <= people <= len(EVALUATION_SEEDS):
        raise InputError(f"expected a .npy and 1 to {len(EVALUATION_SEEDS)} people, got {path.name!r} and {people}")
    vectors = [NEUTRAL] + [expression(name, strength=s) for name in NAMED for s in EVALUATION_STRENGTHS]
    seeds = np.array(EVALUATION_SEEDS[:people])
    shots = ((Shoot.sample(int(seed), jitter=jitter), vectors) for seed in seeds)
    attributes = _write_shots(path, (people, len(vectors), size, size, 3), shots, progress)
    truth = {"seeds": seeds, "names": np.array(list(NAMED)), "strengths": np.array(EVALUATION_STRENGTHS)}
    write_truth(path, truth, attributes)
    return path


def write_shards(path: Path, groups: int, shard: int, write: Callable[[Path, range], None]) -> list[Path]:
    """Write the shards of a set that are not there yet, so that a stopped run goes on; list all of them."""
    files = []
    for file, numbers in training_shards(path, groups, shard):
        files.append(file)
        if not (file.exists() and file.with_suffix(".npz").exists()):
            write(file, numbers)
    return files


def plan_group(seed: int, group: int, people: int, count: int) -> dict[str, np.ndarray]:
    """Draw a group's people and what they show: ``seeds``, ``expressions`` and ``strengths``, as in the ``.npz``."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, group, 3])))
    first = TRAINING_START * (1 + seed) + group * people
    return {
        "seeds": np.arange(first, first + people),
        "expressions": np.stack([sample_training(rng) for _ in range(count)]).astype(np.float32),
        "strengths": rng.uniform(0.3, 0.85, count).astype(np.float32),
    }


def stacked(plans: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The plans of a shard's groups as arrays of them all."""
    return {key: np.stack([plan[key] for plan in plans]) for key in plans[0]}


def levels(plan: dict[str, np.ndarray]) -> list[np.ndarray]:
    """List the expressions of one person's pictures, in order."""
    pairs = zip(plan["expressions"].astype(np.float64), plan["strengths"].astype(np.float64), strict=True)
    return [NEUTRAL] + [vector for full, strength in pairs for vector in (full, strength * full)]


def write_pictures(
    path: Path, shape: tuple[int, ...], pictures: Iterable[np.ndarray], progress: Progress | None
) -> None:
    """Write pictures one by one to a .npy of a shape (…, pictures of a person, size, size, 3), there when complete."""
    total, each, start = int(np.prod(shape[:-3])), shape[-4], time.perf_counter()
    with replacing(path) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        flat = array.reshape(total, *shape[-3:])
        for done, picture in enumerate(pictures, start=1):
            flat[done - 1] = picture
            if progress and done % each == 0:
                progress(done, total, done / (time.perf_counter() - start))
        array.flush()
        del flat, array


def write_truth(path: Path, *arrays: dict[str, np.ndarray]) -> None:
    """Write what is known of a set's pictures to the .npz beside them."""
    with replacing(path.with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **{k: v for part in arrays for k, v in part.items()})


def _write_shots(
    path: Path, shape: tuple[int, ...], shots: Iterable[tuple[Shoot, list[np.ndarray]]], progress: Progress | None
) -> dict[str, np.ndarray]:
    """Render people with their expressions to a .npy; return the people's attributes."""
    people = []

    def pictures() -> Iterator[np.ndarray]:
        for shoot, vectors in shots:
            people.append(_attributes(shoot.sitter.person))
            yield from (shoot.picture(vector, size=shape[-2]) for vector in vectors)

    write_pictures(path, shape, pictures(), progress)
    return {key: np.array([person[key] for person in people]) for key in people[0]}


def _attributes(person: Person) -> dict[str, object]:
    return {
        "sex": person.sex,
        "age_years": person.age_years,
        "ancestry": person.ancestry,
        "skin_tone": person.skin_tone(),
        "hair_style": person.hair_style,
        "hair_colour": person.hair_colour,
        "beard": person.look.beard,
    }
