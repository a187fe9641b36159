"""Commands about readers of expressions: reader learn, reader read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from flowxfer.cli.groups import grouped
from flowxfer.cli.options import BUNDLED, PORTRAIT, Compute, Expression, Force, Neutral
from flowxfer.cli.running import track, transferer, unused
from flowxfer.errors import InputError, reason

__all__ = ["EXAMPLES", "commands", "learn", "read"]

Performances = Annotated[
    list[Path], typer.Argument(metavar="SET...", help="What `python -m flowxfer.synth performances` wrote.")
]


@grouped
def learn(
    performances: Performances,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .safetensors file to write.")],
    actions: Annotated[
        Path | None, typer.Option(help="Directions of the actions, an attributes file.", show_default="learned too")
    ] = None,
    compute: Compute = BUNDLED,
    force: Force = False,
) -> None:
    """Learn to read expressions off performers' pictures, for one model.

    Put beside the bundle as reader.safetensors, it is what transfers with that model read with; --plain leaves it out.
    """
    from flowxfer.directions import Attributes, learn_reader

    path, sets = unused(output, force), [_read(each) for each in performances]
    if any(each[3] != sets[0][3] for each in sets):
        raise InputError(f"expected sets of the same actions, got others in {performances[-1]}")
    neutral, performing, strengths = (np.concatenate([each[part] for each in sets]) for part in range(3))
    performed = np.flatnonzero(strengths.any(0))
    flow = transferer(compute)
    learn_reader(
        flow,
        zip(track(neutral, len(neutral), "reader"), performing, strict=True),
        strengths[:, performed],
        [sets[0][3][index] for index in performed],
        actions=Attributes.load(actions, flow.manifest) if actions else None,
    ).save(path)
    typer.echo(path)


@grouped
def read(expression: Expression, neutral: Neutral, compute: Compute = PORTRAIT) -> None:
    """Print how strongly a performer shows each facial action, the strongest first."""
    from flowxfer import images

    flow = transferer(compute)
    if flow.reader is None:
        raise InputError(
            f"expected a model that brings a reader, got {flow.manifest.name}; `flowxfer reader learn` makes one"
        )
    performing, calm = images.load(expression, flow.size), images.load_faces(neutral, flow.size, resize=True)
    (strengths,) = flow.reader.read(flow.encode(performing) - flow.mean(calm))
    for index in np.argsort(-np.abs(strengths)):
        typer.echo(f"{flow.reader.names[index]:<20}{strengths[index]:6.2f}")


EXAMPLES: dict[str, tuple[Callable[..., None], str]] = {
    "learn": (learn, "flowxfer reader learn performances.npz -m runs/mine -o runs/mine/reader.safetensors"),
    "read": (read, "flowxfer reader read -e smile.png -n neutral.png -m portrait-64"),
}

commands = typer.Typer(help="What a model reads off a performer: learn, read.", no_args_is_help=True)
for name, (command, example) in EXAMPLES.items():
    commands.command(name, epilog=f"Example: {example}")(command)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Neutral and performing faces, strengths and names of a set."""
    from flowxfer.images.arrays import read_npz

    try:
        neutral, performing, strengths, names = read_npz(path, "neutral", "performing", "strengths", "names")
    except (OSError, ValueError) as error:
        raise InputError(f"expected a set of performances in {path}, but it cannot be read: {reason(error)}") from error
    return neutral, performing, strengths, tuple(map(str, names))
