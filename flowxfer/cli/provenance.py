"""Commands about marks: provenance show, provenance init."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowxfer.cli.groups import grouped
from flowxfer.cli.options import Force
from flowxfer.cli.running import unused

if TYPE_CHECKING:
    from flowxfer.provenance import Provenance

__all__ = ["EXAMPLES", "commands", "init", "show"]

_MOST = 300  # letters of a line
_STATES = {
    "Trusted": "intact, and signed by somebody you trust",
    "Valid": "intact, but nobody vouches for who signed it (--trust)",
    "Invalid": "not to be believed",
    "Unchecked": "there is a manifest; pip install 'flowxfer[c2pa]' brings what checks it",
}


def show(
    file: Annotated[Path, typer.Argument(help="A picture or film, of flowxfer's or anybody's.")],
    trust: Annotated[Path | None, typer.Option(help="Certificates to trust, PEM.", show_default="nobody")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what a picture or film says of how it was made: its mark in XMP, and its C2PA manifest.

    A file that says nothing may be anything: marks are easily lost. Only a manifest that somebody you trust has signed
    is hard to forge.
    """
    from flowxfer.provenance import read

    found = read(file, trust=trust)
    if as_json:
        typer.echo(json.dumps({"synthetic": found.synthetic, **dataclasses.asdict(found)}, indent=1))
        return
    for line in _lines(found):
        typer.echo(_printable(line))


@grouped
def init(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")] = Path("."),
    force: Force = False,
) -> None:
    """Make a certificate to try C2PA with: nobody trusts it, and its name says so.

    Writes flowxfer-test-chain.pem for --certificate (and --trust), and flowxfer-test-key.pem for --key.
    """
    from flowxfer.provenance import make_test_certificate

    chain, key = (unused(output / f"flowxfer-test-{name}.pem", force) for name in ("chain", "key"))
    make_test_certificate(chain, key)
    typer.echo(chain)
    typer.echo(key)


EXAMPLES: dict[Callable[..., None], str] = {
    show: "flowxfer provenance show smiling.png",
    init: "flowxfer provenance init -o certificates/",
}

commands = typer.Typer(help="What pictures and films say of how they were made: show, init.", no_args_is_help=True)
for command, example in EXAMPLES.items():
    commands.command(epilog=f"Example: {example}")(command)


def _lines(found: Provenance) -> Iterator[str]:
    from flowxfer.provenance.marks import alpha_text

    manifest = found.manifest
    yield "synthetic" if found.synthetic else "does not say that it is synthetic"
    said = {
        "source type": found.source_type,
        "made with": found.tool,
        "model": f"{found.model} {found.model_hash or ''}" if found.model else None,
        "alpha": "; ".join(map(alpha_text, found.alphas)),
        "C2PA": _STATES.get(manifest.state, manifest.state) if manifest else None,
        "signed by": manifest and manifest.signed_by,
        "written by": manifest and manifest.generator,
        "actions": manifest and "; ".join(manifest.source_types),
        "failures": manifest and "; ".join(manifest.failures),
    }
    yield from (f"{name + ':':<14}{value}" for name, value in said.items() if value)


def _printable(line: str) -> str:
    """A line that anybody may have written, without what would steer the terminal, and not endless."""
    kept = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line[:_MOST])
    return kept + "…" * (len(line) > _MOST)
