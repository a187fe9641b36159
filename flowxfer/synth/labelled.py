"""Labelled pictures: what attribute vectors are learned from, in CelebA's layout."""

from __future__ import annotations

import time
from pathlib import Path

from PIL import Image

from flowxfer.errors import InputError
from flowxfer.files import replacing
from flowxfer.synth.dataset import TRAINING_START, Progress, Shoot
from flowxfer.synth.expressions import expression
from flowxfer.synth.people import Person

__all__ = ["LABELS", "write_labelled"]

LABELS = "attributes.txt"

_EXPRESSIONS = {
    "Smiling": "smile",
    "Surprised": "surprise",
    "Angry": "anger",
    "Sad": "sadness",
    "Mouth_Open": "open",
    "Eyes_Closed": "closed",
}


def write_labelled(
    folder: Path, *, people: int, size: int = 64, seed: int = 0, progress: Progress | None = None
) -> Path:
    """Render people without and with expressions, and write a list of what each picture shows.

    They are the first people of a training set, so that no evaluation meets them.

    Args:
        folder: for the pictures, 000001.png and on, and for the list :data:`LABELS`, laid out as CelebA's
            ``list_attr_celeba.txt``: 1 where an attribute is there, -1 where it is not.
        people: how many, each in a picture without expression and one for each of six.
        size: pixels of a side.
        seed: of the training set.
        progress: is told of every person.

    Returns:
        The list.

    Raises:
        InputError: nobody is wanted.
    """
    if people < 1:
        raise InputError(f"expected at least one person, got {people}")
    shown = [None, *_EXPRESSIONS]
    total, start = people * len(shown), time.perf_counter()
    rows: list[str] = []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(people):
        shoot = Shoot.sample(TRAINING_START * (1 + seed) + number)
        traits = _traits(shoot.sitter.person)
        for attribute in shown:
            name = f"{len(rows) + 1:06}.png"
            picture = shoot.picture(expression(_EXPRESSIONS[attribute] if attribute else "neutral"), size=size)
            Image.fromarray(picture).save(folder / name)
            labels = {expressed: expressed == attribute for expressed in _EXPRESSIONS} | traits
            rows.append(" ".join([name, *("1" if has else "-1" for has in labels.values())]))
        if progress:
            progress(len(rows), total, len(rows) / (time.perf_counter() - start))
    with replacing(folder / LABELS) as temporary:
        temporary.write_text("\n".join([str(total), " ".join(labels), *rows, ""]), encoding="utf-8")
    return folder / LABELS


def _traits(person: Person) -> dict[str, bool]:
    return {
        "Male": person.sex == "male",
        "Young": person.age_years < 35,
        "Beard": person.look.beard > 0.5,
        "Dark_Hair": person.hair_colour in ("black", "dark brown"),
        "Gray_Hair": person.hair_colour in ("grey", "white"),
        "Bald": person.hair_style in ("bald", "buzz"),
        "Long_Hair": person.hair_style in ("long", "wavy"),
        "Bangs": person.hair_style == "fringe",
        "Dark_Skin": person.skin_tone() in ("brown", "dark"),
    }
