"""The command that shows what flowxfer does: the bundled model on the bundled people."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowxfer.cli.groups import grouped
from flowxfer.cli.marking import MARKED, Marking, marks
from flowxfer.cli.options import BUNDLED, Compute, Force
from flowxfer.cli.running import transferer, unused
from flowxfer.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

    from flowxfer.images import Pixels
    from flowxfer.transferer import Transferer

__all__ = ["demo"]

PERFORMER = "id5"
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

    start = time.perf_counter()
    table, sweep, gif = (unused(output / name, force) for name in ("transfer.png", "sweep.png", "sweep.gif"))
    people, marking = People.bundled(), marks(marked)
    flow = transferer(compute)
    images.save(_table(flow, people), table, marking.edited(flow.manifest, *STRENGTHS))
    _say(table, f"{len(PAIRS)} people with an expression of one who is none of them", start)

    start = time.perf_counter()
    (person, expression), mark = PAIRS[0], marking.edited(flow.manifest, *SWEEP)
    target, performer = people.truth(person, "neutral", flow.size), people.performer(expression, flow.size)
    faces = flow.sweep(target, performer, people.truth(PERFORMER, "neutral", flow.size), SWEEP)
    images.save(contact_sheets.strip(faces, [f"alpha {alpha:.1f}" for alpha in SWEEP]), sweep, mark)
    _say(sweep, f"{expression} in {len(SWEEP)} strengths", start)

    start = time.perf_counter()
    contact_sheets.gif(faces, gif, mark)
    _say(gif, "the same in motion", start)


@dataclass(frozen=True)
class People:
    """The demo people in the paper's folders, and the true answers that the paper could not have.

    ``expressions/NAME.png`` is the performer, id5; ``truth/idN/NAME.png`` is each person with each expression,
    ``neutral`` among them.
    """

    folder: Path

    @classmethod
    def bundled(cls) -> People:
        """Find the people that come with flowxfer.

        Raises:
            InputError: they are not in this installation.
        """
        folder = Path(str(resources.files("flowxfer") / "data" / "faces"))
        if not (folder / "expressions").is_dir():
            raise InputError(f"expected the demo people at {folder}, but they are not there; install flowxfer again")
        return cls(folder)

    def performer(self, name: str, size: int) -> Pixels:
        """Return the performer with an expression: shape (size, size, 3), uint8."""
        from flowxfer import images

        return images.load(self.folder / "expressions" / f"{name}.png", size)

    def truth(self, person: str, name: str, size: int) -> Pixels:
        """Return a person with an expression of their own: shape (size, size, 3), uint8."""
        from flowxfer import images

        return images.load(self.folder / "truth" / person / f"{name}.png", size)


def _table(flow: Transferer, people: People) -> Image:
    from flowxfer.images import contact_sheets

    rows = []
    # One neutral picture from the same camera and light: the mean of the twelve in id5_aligned, whose pose wanders,
    # leaves an outline of the performer's hair on the targets.
    neutral = people.truth(PERFORMER, "neutral", flow.size)
    for person, name in PAIRS:
        target, expression = people.truth(person, "neutral", flow.size), people.performer(name, flow.size)
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
