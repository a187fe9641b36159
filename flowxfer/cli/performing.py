"""What is transferred to photographs and films: somebody's expression, or attributes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from flowxfer.cli.attributes import AttributeFile, attributes_of, strengths
from flowxfer.cli.running import alphas
from flowxfer.errors import InputError

if TYPE_CHECKING:
    from flowxfer.transferer import Transferer
    from flowxfer.types import Alpha

__all__ = [
    "PERFORMING",
    "Performing",
    "alpha_option",
    "alphas_of_attributes",
    "check",
    "neutral_option",
    "strength",
    "transferred",
]


def neutral_option(by_default: str | bool = False) -> Any:
    """``--neutral``, and what its help says of the default."""
    about = "The performer without: pictures or folders (repeatable), averaged."
    return typer.Option("--neutral", "-n", help=about, show_default=by_default)


def alpha_option(by_default: str) -> Any:
    """``--alpha``, and what its help says of the default."""
    about = "Strength: 0 is none, 1 is full; or one per level: .3,.4,.5"
    return typer.Option("--alpha", "-a", help=about, show_default=by_default)


@dataclass(frozen=True)
class Performing:
    """The options that say what is transferred, and how much of it."""

    PANEL: ClassVar = "What is transferred"

    expression: Annotated[
        Path | None, typer.Option("--expression", "-e", help="The performer with the expression.", show_default=False)
    ] = None
    neutral: Annotated[list[str] | None, neutral_option()] = None
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            help="In place of an expression an attribute and its strength, such as Smiling=0.8; may be repeated.",
            show_default=False,
        ),
    ] = None
    attributes: AttributeFile = None
    alpha: Annotated[str | None, alpha_option("0.4, with --attribute 1")] = None


PERFORMING = Performing()


def check(performing: Performing) -> None:
    """Find contradictions before the model is loaded.

    Raises:
        InputError: there are an expression and attributes, or neither; no performer without the expression; or an
            option of the one beside the other.
    """
    if (performing.expression is None) == (not performing.attribute):
        raise InputError("expected --expression or --attribute, one of them: what is transferred?")
    if performing.expression is not None and not performing.neutral:
        raise InputError("expected --neutral beside --expression: the performer without it")
    if performing.attribute and performing.neutral:
        raise InputError("expected --attribute without --neutral: an attribute has no performer")
    if performing.attributes and not performing.attribute:
        raise InputError("expected --attributes beside --attribute: a file of which nothing is taken")
    strengths(performing.attribute or [])


def transferred(flow: Transferer, performing: Performing) -> dict[str, Any]:
    """``expression`` and ``neutral``, or of attributes their ``direction``, as photographs and films are given them.

    Raises:
        ImageError: a picture cannot be read.
        InputError: the model has no such attribute.
    """
    from flowxfer import images

    if performing.expression is None:
        return {"direction": attributes_of(flow, performing.attributes).mixed(strengths(performing.attribute or []))}
    neutral = images.load_faces(performing.neutral or [], flow.size, resize=True)
    return {"expression": images.load(performing.expression, flow.size), "neutral": neutral}


def alphas_of_attributes(performing: Performing) -> list[Alpha]:
    """How strong each attribute is in the end, for the mark; none where an expression is transferred."""
    factors = [1.0] if performing.alpha is None else alphas(performing.alpha)
    found = [[value * factor for factor in factors] for value in strengths(performing.attribute or []).values()]
    return [values[0] if len(values) == 1 else values for values in found]


def strength(performing: Performing) -> Alpha | None:
    """One number, or one for each level; None where none was asked for.

    Raises:
        InputError: it is no number.
    """
    values = None if performing.alpha is None else alphas(performing.alpha)
    if values is None:
        return 1.0 if performing.attribute else None
    return values[0] if len(values) == 1 else values
