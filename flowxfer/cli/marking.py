"""What a command writes into its results about how they were made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from flowxfer.errors import InputError

if TYPE_CHECKING:
    from flowxfer.provenance import Marks

__all__ = ["MARKED", "Marking", "marks"]

DUTY = (
    "flowxfer: --no-mark: the results do not say that they are synthetic; in the European Union, Regulation (EU) "
    "2024/1689 (AI Act), article 50(2) and (4), asks for a machine-readable mark, and for telling people"
)


@dataclass(frozen=True)
class Marking:
    """The options that every writing command has."""

    PANEL: ClassVar = "Marks"

    no_mark: Annotated[
        bool,
        typer.Option("--no-mark", help="Do not write into the results that they are synthetic; then you must say so."),
    ] = False
    certificate: Annotated[
        Path | None,
        typer.Option(help="Sign a C2PA manifest: the certificate and its issuers, PEM.", show_default=False),
    ] = None
    key: Annotated[Path | None, typer.Option(help="The certificate's private key, PEM.", show_default=False)] = None

    def elsewhere(self) -> Marking:
        """The same for a process with another working folder."""
        certificate, key = (path and path.absolute() for path in (self.certificate, self.key))
        return Marking(self.no_mark, certificate, key)


MARKED = Marking()


def marks(marking: Marking) -> Marks:
    """Make what marks the results; ``--no-mark`` names the legal duty on stderr.

    Raises:
        InputError: the options contradict each other.
        ProvenanceError: the certificate or the key cannot be used.
        MissingExtraError: there is a certificate, and c2pa-python is not installed.
    """
    from flowxfer.provenance import Marks, Signer

    certificate, key = marking.certificate, marking.key
    if (certificate is None) != (key is None):
        raise InputError("expected --certificate and --key together; `flowxfer provenance init` makes a pair for tests")
    if marking.no_mark and certificate is not None:
        raise InputError("expected --no-mark or --certificate, got both; a C2PA manifest is a mark")
    if marking.no_mark:
        typer.echo(DUTY, err=True)
    return Marks(not marking.no_mark, Signer(certificate, key) if certificate and key else None)
