"""The pictures of the documentation, made by the library: ``python docs/figures.py [FOLDER]``.

Each says in its metadata by which model it was made: a test holds the committed ones to the bundled model.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL.Image import Image

from flowxfer import Latents, Transferer, images
from flowxfer.images import Pixels, contact_sheets
from flowxfer.images.people import TruePeople
from flowxfer.provenance import EDITED, GENERATED, Mark

Figure = Callable[[Transferer, TruePeople], Image]

TEMPERATURES = (0.0, 0.3, 0.5, 0.7, 0.9, 1.1)
STEPS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def sweep(flow: Transferer, people: TruePeople) -> Image:
    """A smile in seven strengths."""
    faces = (people.truth("id1", "neutral", flow.size), people.performed("smile", flow.size))
    alphas = [step / 5 for step in range(7)]
    results = flow.sweep(*faces, people.neutral(flow.size)[0], alphas)
    return contact_sheets.strip(results, [f"{alpha:g}" for alpha in alphas])


def mean(flow: Transferer, people: TruePeople) -> Image:
    """Four pictures of one person, and the mean of all twelve."""
    twelve = images.load_faces(people.folder / "id2_aligned", flow.size, resize=True)
    face = flow.decode(flow.mean(twelve))[0]
    return contact_sheets.strip([*twelve[:4], face], ["01", "02", "03", "04", "mean of 12"])


def squeeze(flow: Transferer, people: TruePeople) -> Image:
    """A face, and the four half-size faces that squeezing makes of it."""
    face = people.truth("id2", "neutral", flow.size)
    phases = [face[y::2, x::2] for y in (0, 1) for x in (0, 1)]
    half = np.full_like(face, 255)
    shown = [face]
    for phase in phases:
        cell = half.copy()
        cell[flow.size // 4 : -flow.size // 4, flow.size // 4 : -flow.size // 4] = phase
        shown.append(cell)
    return contact_sheets.strip(shown, ["picture", "even, even", "even, odd", "odd, even", "odd, odd"])


def swap(flow: Transferer, people: TruePeople) -> Image:
    """Two faces, each with one level of the other's latents."""
    faces = _neutral(flow, people, "id1", "id4")
    latents = flow.encode(faces)
    first, second = latents[0], latents[1]
    levels = range(len(first.levels))
    rows = []
    for own, other, face in ((first, second, faces[0]), (second, first, faces[1])):
        swapped = [flow.decode(_with_level(own, other, level))[0] for level in levels]
        rows.append([face, *swapped])
    titles = [_name(flow, level) for level in levels]
    return contact_sheets.table(rows, {"face": ["its own"], "one level from the other face": titles})


def mix(flow: Transferer, people: TruePeople) -> Image:
    """From one face to another: on pixels, and in latent space."""
    faces = _neutral(flow, people, "id2", "id3")
    first, second = faces.astype(np.float64)
    pixels = [((1 - alpha) * first + alpha * second).round().astype(np.uint8) for alpha in STEPS]
    latents = flow.encode(faces)
    flowed = [flow.mix(latents[0], latents[1], alpha)[0] for alpha in STEPS]
    return contact_sheets.table([pixels, flowed], {"above: pixels, below: latents": [f"{alpha:g}" for alpha in STEPS]})


def levels(flow: Transferer, people: TruePeople) -> Image:
    """An expression transferred in one level only, and in all."""
    neutral = people.neutral(flow.size)[0]
    count = len(flow.manifest.latent_shapes)
    alphas = [tuple(float(level == only) for level in range(count)) for only in range(count)]
    rows = []
    for person, expression in (("id1", "smile"), ("id2", "surprise")):
        target, performer = people.truth(person, "neutral", flow.size), people.performed(expression, flow.size)
        rows.append([performer, target, *flow.sweep(target, performer, neutral, [*alphas, 1.0])])
    titles = [_name(flow, level) for level in range(count)]
    return contact_sheets.table(rows, {"faces": ["performer", "target"], "alpha 1 in": [*titles, "all"]})


def attributes(flow: Transferer, people: TruePeople) -> Image:
    """Attributes of two faces, changed one at a time."""
    faces = _neutral(flow, people, "id1", "id2")
    shown = [("Smiling", 1), ("Surprised", 1), ("Eyes_Closed", 1), ("Male", 0.7), ("Male", -0.7), ("Beard", 0.8)]
    changed = [flow.manipulate(faces, flow.attributes[name], strength) for name, strength in shown]
    rows = [[face, *results] for face, *results in zip(faces, *changed, strict=True)]
    titles = [f"{name.replace('_', ' ')} {strength:g}" for name, strength in shown]
    return contact_sheets.table(rows, {"face": [""], "changed": titles})


def temperature(flow: Transferer, people: TruePeople) -> Image:
    """The same draws at several temperatures."""
    rows = zip(*(flow.sample(3, temperature=heat, seed=7) for heat in TEMPERATURES), strict=True)
    return contact_sheets.table([list(row) for row in rows], {"temperature": [f"{heat:g}" for heat in TEMPERATURES]})


FIGURES: dict[str, tuple[Figure, str]] = {
    "sweep": (sweep, EDITED),
    "mean": (mean, EDITED),
    "squeeze": (squeeze, EDITED),
    "swap": (swap, EDITED),
    "mix": (mix, EDITED),
    "levels": (levels, EDITED),
    "attributes": (attributes, EDITED),
    "temperature": (temperature, GENERATED),
}


def main(folder: Path) -> None:
    """Draw all figures into a folder."""
    flow, people = Transferer(), TruePeople.bundled()
    for name, (figure, kind) in FIGURES.items():
        mark = Mark(model=flow.manifest.name, model_hash=flow.manifest.model_hash, source_type=kind)
        images.save(figure(flow, people), folder / f"{name}.png", mark)


def _neutral(flow: Transferer, people: TruePeople, *names: str) -> Pixels:
    return np.stack([people.truth(name, "neutral", flow.size) for name in names])


def _with_level(own: Latents, other: Latents, level: int) -> Latents:
    arrays = [other.levels[i] if i == level else z for i, z in enumerate(own.levels)]
    return Latents(arrays, own.model_hash, own.numerics)


def _name(flow: Transferer, level: int) -> str:
    channels, height, width = flow.manifest.latent_shapes[level]
    return f"{channels}x{height}x{width}"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "figures")
