"""What commands on photographs and on films share: which face, who finds it, and how it comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

if TYPE_CHECKING:
    from flowxfer.faces import Choice, Detector

__all__ = ["WAYS", "Finder", "Way", "choice", "find_by"]

Finder = Annotated[
    Literal["dlib", "dlib68", "mtcnn"],
    typer.Option("--detector", help="What finds faces; the landmarks of dlib68 exclude commercial use."),
]
Way = Annotated[
    Literal["blend", "face", "change", "crop"],
    typer.Option(
        "--paste",
        help="Add what changed and drop old detail where that is much, do so in the face's oval only, only add, or lay "
        "the whole new face over.",
    ),
]

WAYS = {"blend": "paste_blend", "face": "paste_face", "change": "paste_change", "crop": "paste_crop"}
"""Names in :mod:`flowxfer.faces`, which is not imported before it is needed."""


def choice(text: str) -> Choice:
    """Read which of several faces; :func:`flowxfer.faces.choose` refuses what it does not know."""
    return int(text) if text.isdecimal() else cast("Choice", text)


def find_by(name: str) -> Detector:
    """Make a detector by its name on the command line."""
    from flowxfer.faces import DlibDetector, MtcnnDetector

    if name == "mtcnn":
        return MtcnnDetector()
    return DlibDetector(landmarks=68 if name == "dlib68" else 5)
