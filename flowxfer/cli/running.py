"""What every command does the same way: errors, outputs, progress, and the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from typer.core import TyperGroup

from flowxfer.cli.groups import RUNNING, Running
from flowxfer.errors import FlowxferError, InputError, printable
from flowxfer.files import destination, flows_on, same_file

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from flowxfer.cli.options import Compute
    from flowxfer.models.download import Progress
    from flowxfer.transferer import Transferer
    from flowxfer.video import Progress as FilmProgress

__all__ = [
    "Commands",
    "alphas",
    "downloading",
    "inputs",
    "measure",
    "names",
    "outputs",
    "steps",
    "track",
    "transferer",
    "unused",
]

Item = TypeVar("Item")


class Commands(TyperGroup):
    """Commands whose expected errors are one sentence on stderr and the exit status 2, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # Typer leaves quietly: whoever read our output has read enough
        except FlowxferError as error:
            sentence = str(error)
        except OSError as error:
            sentence = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        typer.echo(f"flowxfer: {printable(sentence)}", err=True)
        raise typer.Exit(2)


def transferer(compute: Compute, *, batch_size: int | None = None) -> Transferer:
    """Make a Transferer; a model that must be downloaded and converted first shows its progress."""
    from flowxfer.models import hub
    from flowxfer.transferer import Transferer

    with downloading() as progress:
        folder = hub.resolve(compute.model, progress=progress)
    return Transferer(
        folder,
        providers=compute.provider or None,
        batch_size=batch_size,
        threads=compute.threads,
        engine=compute.engine,
        precision=compute.precision,
        plain=compute.plain,
    )


def unused(path: Path, force: bool) -> Path:
    """Return ``path`` if nothing is lost by writing there, or ``--force`` was given; but never one of the inputs.

    Raises:
        InputError: something stands there, an input of the running command, or another of its outputs.
    """
    if flows_on(path):
        return path
    if same_file(path, inputs()):
        raise InputError(f"expected an output beside the inputs, got the input {path} itself; choose another name")
    if path.exists() and not force:
        raise InputError(f"{path} exists already; --force replaces it, or choose another name")
    written = RUNNING.get(Running()).written
    if (place := destination(path).resolve()) in written:
        raise InputError(f"expected a name of its own for each output, got {path} for two of them")
    written.add(place)
    return path


def inputs() -> list[Path]:
    """List the files that the arguments of the running command name or hold, all but those that say where to write."""
    return RUNNING.get(Running()).inputs


def outputs(output: Path, names: Sequence[str], force: bool) -> list[Path]:
    """Name a picture for each result: ``output`` itself for one, or PNG files in the folder ``output``.

    Raises:
        InputError: a picture's name stands for several results, its suffix is unknown, or something exists there.
    """
    from flowxfer.images import check_writable_suffix

    if not output.suffix or output.is_dir():
        return [unused(output / f"{name}.png", force) for name in names]
    check_writable_suffix(output)
    if len(names) != 1:
        raise InputError(f"expected a folder for {len(names)} pictures, got the file name {output}")
    return [unused(output, force)]


def names(paths: list[Path]) -> list[str]:
    """Name each result after its picture, with the folder's name where two pictures share theirs."""
    found = [path.stem for path in paths]
    if len(set(found)) < len(found):
        found = [f"{path.resolve().parent.name}_{path.stem}" for path in paths]
    if len(set(found)) < len(found):
        raise InputError(
            "expected inputs whose names differ, for the results are named after them; give them in several commands"
        )
    return found


def alphas(text: str) -> list[float]:
    """Read numbers that commas part.

    Raises:
        InputError: one is no number.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"expected a number or numbers with commas between, such as 0.3,0.4, got {text!r}") from None


def track(items: Iterable[Item], total: int | None, what: str) -> Iterator[Item]:
    """Yield the items and show a progress bar on stderr, where that is a terminal."""
    with _bars() as bars:
        yield from bars.track(items, total=total, description=what)


@contextmanager
def downloading() -> Iterator[Progress]:
    """Yield a progress callback that draws a bar on stderr, where that is a terminal, for each thing it is told of."""
    with _bars() as bars:
        tasks: dict[str, Any] = {}

        def progress(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what)
            bars.update(tasks[what], completed=done, total=total)

        yield progress


@contextmanager
def steps(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield a callback that is told how many steps are done, and draws a bar like :func:`track`."""
    with _bars() as bars:
        task = bars.add_task(what, total=total)
        yield lambda done: bars.update(task, completed=done)


@contextmanager
def measure(what: str) -> Iterator[Callable[[FilmProgress], None]]:
    """Yield a callback that is told how far a film is, and draws a bar."""
    with _bars() as bars:
        task = bars.add_task(what, total=None)

        def told(now: FilmProgress) -> None:
            doing = f"{what}: studying the performer" if now.study else what
            bars.update(task, completed=now.done, total=now.total, description=f"{doing}  {now.fps:.1f} frames/s")

        yield told


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    return Bars(console=console, transient=True, disable=not console.is_terminal)
