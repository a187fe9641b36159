"""Options that go together, which a command takes as one argument; and what the running command was given."""

from __future__ import annotations

import copy
import dataclasses
import functools
import glob
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

__all__ = ["RUNNING", "Running", "grouped"]

_OUTPUTS = ("output", "log", "publish")
"""Arguments with these names, or with ``_output`` at the end of theirs, say where to write; all others may be read."""


@dataclass(frozen=True)
class Running:
    """A command at work.

    Attributes:
        arguments: what it was given, by the names of its options.
        written: files that it has chosen to write.
    """

    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    written: set[Path] = dataclasses.field(default_factory=set)

    @functools.cached_property
    def inputs(self) -> list[Path]:
        """The files that the arguments name or hold, all but those that say where to write."""
        read = (value for name, value in self.arguments.items() if name.rpartition("_")[2] not in _OUTPUTS)
        named = [each for value in read for each in (value if isinstance(value, (list, tuple)) else [value])]
        return [file for each in named if isinstance(each, (str, Path)) for file in _files(Path(each))]


RUNNING: ContextVar[Running] = ContextVar("RUNNING")


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, for each of its arguments that is a dataclass, an option for every field.

    The fields are annotated as Typer's parameters are; their defaults are those of the argument's own default, and
    ``--help`` shows them together under the class's ``PANEL``.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        if name in groups:
            parameters += _options(groups[name], parameter.default)
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def spread(**values: Any) -> None:  # Typer calls it, by the names of the signature below
        running = RUNNING.set(Running(dict(values)))
        try:
            for name, group in groups.items():
                values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
            command(**values)
        finally:
            RUNNING.reset(running)

    vars(spread)["__signature__"] = Signature(parameters)
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spread


def _options(group: Any, default: Any) -> Iterator[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        option = copy.copy(hints[field.name].__metadata__[0])  # a field that is inherited has its own class's panel too
        option.rich_help_panel = group.PANEL
        annotation: Any = Annotated[hints[field.name].__origin__, option]
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=getattr(default, field.name), annotation=annotation)


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        from flowxfer.images import SUFFIXES
        from flowxfer.video.io.suffixes import READ

        read = {*SUFFIXES, *READ, ".csv"}  # of a folder
        yield from (file for file in path.rglob("*") if file.suffix.lower() in read)
    elif path.exists():
        yield path
    elif glob.has_magic(str(path)):
        yield from map(Path, glob.iglob(str(path), recursive=True))
