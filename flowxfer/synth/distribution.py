"""Who is in a set: counts of people by skin tone, age, sex, ancestry, hair and beard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from flowxfer.synth.people import HAIR_COLOURS, HAIR_STYLES, Person

__all__ = ["count_people", "markdown_table"]

SKIN_TONES = ("very light", "light", "intermediate", "tan", "brown", "dark")
AGES = ("18-29", "30-44", "45-59", "60-82")
_ORDER = {
    "skin tone (ITA)": SKIN_TONES,
    "age": AGES,
    "sex": ("female", "male"),
    "ancestry (largest share)": ("african", "asian", "caucasian"),
    "hair style": HAIR_STYLES,
    "hair colour": HAIR_COLOURS,
    "beard": ("none", "short", "full"),
}


def count_people(people: Iterable[Person]) -> dict[str, dict[str, int]]:
    """Count people by each attribute; every attribute's counts sum to the number of people."""
    counters: dict[str, Counter[str]] = {name: Counter() for name in _ORDER}
    for person in people:
        age = next(label for label in AGES if person.age_years < int(label[3:]) + 1)
        beard = "none" if person.look.beard == 0 else "short" if person.look.beard < 0.6 else "full"
        largest = max(range(3), key=lambda i: person.ancestry[i])
        values = (person.skin_tone(), age, person.sex, ("african", "asian", "caucasian")[largest], person.hair_style,
                  person.hair_colour, beard)  # fmt: skip
        for name, value in zip(_ORDER, values, strict=True):
            counters[name][value] += 1
    return {name: {value: counters[name][value] for value in values} for name, values in _ORDER.items()}


def markdown_table(counts: dict[str, dict[str, int]]) -> str:
    """Lay the counts out as a Markdown table with shares."""
    lines = ["| attribute | value | people | share |", "|---|---|---:|---:|"]
    for name, values in counts.items():
        total = sum(values.values())
        lines += [f"| {name} | {value} | {n} | {100 * n / total:.1f} % |" for value, n in values.items()]
    return "\n".join(lines)
