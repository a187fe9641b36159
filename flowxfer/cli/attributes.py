"""Commands about attribute vectors: manipulate, attributes list, attributes learn, attributes import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowxfer.cli.groups import grouped
from flowxfer.cli.marking import MARKED, Marking, marks
from flowxfer.cli.options import BUNDLED, Compute, Force, Output
from flowxfer.cli.running import names, outputs, track, transferer, unused
from flowxfer.errors import InputError

if TYPE_CHECKING:
    from flowxfer.directions import Attributes
    from flowxfer.transferer import Transferer

__all__ = ["EXAMPLES", "AttributeFile", "attributes_of", "commands", "learn", "manipulate", "strengths"]

AttributeFile = Annotated[
    Path | None,
    typer.Option(help="A file that `flowxfer attributes learn` wrote.", show_default="what comes with the model"),
]
NewFile = Annotated[Path, typer.Option("--output", "-o", help="The .safetensors file to write.")]


@grouped
def manipulate(
    settings: Annotated[list[str], typer.Argument(help="Attributes and strengths, such as Smiling=0.8 Male=-0.3.")],
    target: Annotated[
        list[str], typer.Option("--target", "-t", help="Who is changed: pictures or folders (repeatable), one by one.")
    ],
    output: Output,
    attributes: AttributeFile = None,
    compute: Compute = BUNDLED,
    marked: Marking = MARKED,
    force: Force = False,
) -> None:
    """Change attributes of faces, such as Smiling: each moves a face along a vector in latent space.

    `flowxfer attributes list` names those that a model has. 1 is the whole way from without to with, negative numbers
    go the other way.
    """
    from flowxfer import images

    wanted, targets = strengths(settings), images.expand(target)
    destinations, marking = outputs(output, names(targets), force), marks(marked)
    flow = transferer(compute)
    direction = attributes_of(flow, attributes).mixed(wanted)
    mark = marking.edited(flow.manifest, *wanted.values())
    for path, destination in zip(track(targets, len(targets), "manipulate"), destinations, strict=True):
        images.save(flow.manipulate(images.load(path, flow.size), direction)[0], destination, mark)
        typer.echo(destination)


@grouped
def list_(attributes: AttributeFile = None, compute: Compute = BUNDLED) -> None:
    """List the attributes of a model."""
    found = attributes_of(flow := transferer(compute), attributes)
    if not found:
        typer.echo(f"{flow.manifest.name} has none; `flowxfer attributes learn` makes some", err=True)
    for name in found:
        typer.echo(name)


@grouped
def learn(
    folder: Annotated[Path, typer.Argument(help="The folder of the pictures, aligned faces, that LABELS names.")],
    labels: Annotated[
        Path, typer.Option(help="Which has which attributes: as CelebA's list_attr_celeba.txt, or comma-separated.")
    ],
    output: NewFile,
    keep: Annotated[str | None, typer.Option(help="Names with commas between.", show_default="all attributes")] = None,
    compute: Compute = BUNDLED,
    force: Force = False,
) -> None:
    """Learn attribute vectors from labelled pictures, all together by least squares.

    A vector is what its attribute alone changes, so attributes that go along with those you want (beards with men) make
    these purer, and need not be kept. For one attribute, it is the mean with it less the mean without. Square pictures
    of another size are resized.

    Written to attributes.safetensors in a bundle's folder, they come with that model from then on.
    """
    from flowxfer import images
    from flowxfer.directions import learn, read_labels

    path = _new(output, force)
    known = read_labels(labels)
    kept = _kept(keep, known.attributes)
    if missing := [name for name in known.pictures if not (folder / name).is_file()]:
        raise InputError(f"expected every picture of the list in {folder}, but {missing[0]} is missing")
    flow = transferer(compute)
    faces = (images.load(folder / name, flow.size) for name in known.pictures)
    learn(flow, track(faces, len(known.pictures), "learn"), known).only(kept).save(path)
    typer.echo(path)


@grouped
def import_(
    vectors: Annotated[Path, typer.Argument(help="OpenAI's z_manipulate.npy.")],
    output: NewFile,
    compute: Compute = BUNDLED,
    force: Force = False,
) -> None:
    """Take over the vectors of OpenAI's demo, for the 40 attributes of CelebA; the model has to be theirs too."""
    from flowxfer.directions import Attributes

    path = _new(output, force)
    Attributes.from_openai(vectors, transferer(compute).manifest).save(path)
    typer.echo(path)


EXAMPLES: dict[str, tuple[Callable[..., None], str]] = {
    "list": (list_, "flowxfer attributes list"),
    "learn": (learn, "flowxfer attributes learn celeba/ --labels list_attr_celeba.txt -o attributes.safetensors"),
    "import": (import_, "flowxfer attributes import z_manipulate.npy -m openai-celebahq-256 -o celeba.safetensors"),
}

commands = typer.Typer(help="Attribute vectors of a model: list, learn, import.", no_args_is_help=True)
for name, (command, example) in EXAMPLES.items():
    commands.command(name, epilog=f"Example: {example}")(command)


def attributes_of(flow: Transferer, file: Path | None) -> Attributes:
    """The attributes in a file, or those that come with the model."""
    from flowxfer.directions import Attributes

    return flow.attributes if file is None else Attributes.load(file, flow.manifest)


def strengths(settings: Sequence[str]) -> dict[str, float]:
    """Read settings such as ``Smiling=0.8``.

    Raises:
        InputError: one is none, its strength no number, or an attribute there twice.
    """
    found: dict[str, float] = {}
    for setting in settings:
        name, _, strength = setting.rpartition("=")
        try:
            found[name] = float(strength)
        except ValueError:
            name = ""
        if not name:
            raise InputError(f"expected attributes with their strengths, such as Smiling=0.8, got {setting!r}")
    if len(found) < len(settings):
        raise InputError(f"expected each attribute once, got {', '.join(settings)}")
    return found


def _kept(text: str | None, attributes: Sequence[str]) -> Sequence[str]:
    kept = attributes if text is None else [name.strip() for name in text.split(",")]
    if not set(kept) <= set(attributes) or len(set(kept)) < len(kept):
        raise InputError(f"expected some of {', '.join(attributes)[:200]} to keep, each once, got {text!r}")
    return kept


def _new(output: Path, force: bool) -> Path:
    if output.suffix != ".safetensors":
        raise InputError(f"expected a name that ends in .safetensors for attributes, got {output}")
    return unused(output, force)
