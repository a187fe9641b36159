"""Commands on whole photographs: align, photo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowxfer.cli.finding import WAYS, Finder, Way, choice, find_by
from flowxfer.cli.groups import grouped
from flowxfer.cli.marking import MARKED, Marking, marks
from flowxfer.cli.options import PORTRAIT, Compute, Force, Output
from flowxfer.cli.performing import PERFORMING, Performing, alphas_of_attributes, check, strength, transferred
from flowxfer.cli.running import names, outputs, track, transferer, unused
from flowxfer.errors import InputError

if TYPE_CHECKING:
    from flowxfer.provenance import Mark, Marks

__all__ = ["align", "photo"]


Which = Annotated[
    str, typer.Option(help="Which of several: all, largest, leftmost, or a number from 0, from the left.")
]
Rotations = Annotated[bool, typer.Option("--rotations", help="Also look for faces on their side or head; 4x slower.")]


@grouped
def align(
    photos: Annotated[list[str], typer.Argument(help="Photographs, folders of them, or patterns.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")],
    size: Annotated[int, typer.Option(min=1, help="Pixels of a face.")] = 256,
    face: Which = "all",
    detector: Finder = "dlib",
    rotations: Rotations = False,
    marked: Marking = MARKED,
    force: Force = False,
) -> None:
    """Cut the faces out of photographs, aligned as the models expect them.

    Writes NAME.png, or NAME_0.png, NAME_1.png, … from left to right where a photograph has several. One without a face
    is named on stderr and left out. A photograph that says that it is synthetic passes that on.
    """
    from flowxfer import faces, images

    paths, which, find = images.expand(photos), choice(face), find_by(detector)
    marking = marks(marked)
    found = 0
    for path, name in track(zip(paths, names(paths), strict=True), len(paths), "align"):
        aligned = faces.align(path, find, size, rotations=rotations)
        if not aligned:
            typer.echo(f"{path}: no face found", err=True)
            continue
        chosen = faces.left_to_right(faces.choose(aligned, which))
        files = [name] if len(chosen) == 1 else [f"{name}_{index}" for index in range(len(chosen))]
        mark = _inherited(path, marking)
        for one, file in zip(chosen, files, strict=True):
            images.save(one.crop, unused(output / f"{file}.png", force), mark)
            typer.echo(output / f"{file}.png")
        found += len(chosen)
    if not found:
        raise InputError(f"expected a face in at least one of {len(paths)} pictures, found none; --rotations may help")


@grouped
def photo(
    photo: Annotated[Path, typer.Argument(help="A whole photograph.")],
    output: Output,
    performing: Performing = PERFORMING,
    face: Which = "largest",
    detector: Finder = "dlib",
    rotations: Rotations = False,
    paste: Way = "blend",
    compute: Compute = PORTRAIT,
    marked: Marking = MARKED,
    force: Force = False,
) -> None:
    """Give somebody in a photograph the expression of another person, or attributes such as Smiling.

    The performer's pictures are aligned faces; `flowxfer align` makes them. Outside of the face no pixel changes, which
    a PNG keeps and a JPEG does not. The photograph's colour profile and EXIF are kept, and below the mark its XMP.
    """
    from flowxfer import faces, images

    (path,) = outputs(output, [photo.stem], force)
    check(performing)
    alpha = strength(performing)
    alpha = 0.4 if alpha is None else alpha
    which, find, marking = choice(face), find_by(detector), marks(marked)
    picture = images.load(photo)
    flow = transferer(compute)
    result = faces.transfer_photo(
        flow,
        picture,
        **transferred(flow, performing),
        alpha=alpha,
        face=which,
        detector=find,
        rotations=rotations,
        paste=getattr(faces, WAYS[paste]),
    )
    mark = marking.edited(flow.manifest, *(alphas_of_attributes(performing) or [alpha]))
    images.save(result, path, mark, original=photo)
    typer.echo(path)


def _inherited(path: Path, marking: Marks) -> Mark | None:
    """The mark of a part of a picture: the picture's own."""
    from flowxfer.provenance import inherited

    mark = inherited(path) if marking.wanted else None
    return mark and replace(mark, signer=marking.signer)
