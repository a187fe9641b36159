"""The command that shows what flowxfer does: the bundled model on the bundled people."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowxfer.cli.groups import grouped
from flowxfer.cli.marking import MARKED, Marking, marks
from flowxfer.cli.options import BUNDLED, Compute, Force
from flowxfer.cli.running import transferer, unused

if TYPE_CHECKING:
    from PIL.Image import Image

    from flowxfer.images.people import TruePeople
    from flowxfer.transferer import Transferer

__all__ = ["demo"]

PAIRS = (("id1", "smile"), ("id2", "surprise"), ("id3", "anger"), ("id4", "closed"))
STRENGTHS = (0.5, 0.75, 1.0)
SWEEP = tuple(step / 10 for step in range(11))


@grouped
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")] = Path("demo"),
    compute: Compute = BUNDLED,
    marked: Marking = MARKED,
    force: Force = False,
) -> None:
    """Transfer expressions between the synthetic people that come with flowxfer.

    Writes transfer.png, a table of people and expressions; sweep.png, one expression in eleven strengths; and
    sweep.gif, the same in motion.
    """
    from flowxfer import images
    from flowxfer.images import contact_sheets
    from flowxfer.images.people import TruePeople

    start = time.perf_counter()
    table, sweep, gif = (unused(output / name, force) for name in ("transfer.png", "sweep.png", "sweep.gif"))
    people, marking = TruePeople.bundled(), marks(marked)
    flow = transferer(compute)
    images.save(_table(flow, people), table, marking.edited(flow.manifest, *STRENGTHS))
    _say(table, f"{len(PAIRS)} people with an expression of one who is none of them", start)

    start = time.perf_counter()
    (person, expression), mark = PAIRS[0], marking.edited(flow.manifest, *SWEEP)
    target, performer = people.truth(person, "neutral", flow.size), people.performed(expression, flow.size)
    faces = flow.sweep(target, performer, people.neutral(flow.size), SWEEP)
    images.save(contact_sheets.strip(faces, [f"alpha {alpha:.1f}" for alpha in SWEEP]), sweep, mark)
    _say(sweep, f"{expression} in {len(SWEEP)} strengths", start)

    start = time.perf_counter()
    contact_sheets.gif(faces, gif, mark)
    _say(gif, "the same in motion", start)


def _table(flow: Transferer, people: TruePeople) -> Image:
    from flowxfer.images import contact_sheets

    rows = []
    # One neutral picture from the same camera and light: the mean of the twelve in id5_aligned, whose pose wanders,
    # leaves an outline of the performer's hair on the targets.
    (neutral,) = people.neutral(flow.size)
    for person, name in PAIRS:
        target, expression = people.truth(person, "neutral", flow.size), people.performed(name, flow.size)
        results = flow.sweep(target, expression, neutral, STRENGTHS)
        rows.append([neutral, expression, target, *results, people.truth(person, name, flow.size)])
    groups = {
        "performer": ["neutral", "expression"],
        "target": ["neutral"],
        "transferred": [f"alpha {alpha:g}" for alpha in STRENGTHS],
        "truth": ["rendered"],
    }
    return contact_sheets.table(rows, groups)


def _say(path: Path, what: str, start: float) -> None:
    typer.echo(f"{path}  {what}, {time.perf_counter() - start:.1f} s")
