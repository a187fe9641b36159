"""What a command writes into its results about how they were made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flowxfer.errors import InputError

if TYPE_CHECKING:
    from flowxfer.provenance import Marks

__all__ = ["marks"]

DUTY = (
    "flowxfer: --no-mark: the results do not say that they are synthetic; in the European Union, Regulation (EU) "
    "2024/1689 (AI Act), article 50(2) and (4), asks for a machine-readable mark, and for telling people"
)


def marks(no_mark: bool, certificate: Path | None, key: Path | None) -> Marks:
    """Read the options that every writing command has; ``--no-mark`` names the legal duty on stderr.

    Raises:
        InputError: the options contradict each other.
        ProvenanceError: the certificate or the key cannot be used.
        MissingExtraError: there is a certificate, and c2pa-python is not installed.
    """
    from flowxfer.provenance import Marks, Signer

    if (certificate is None) != (key is None):
        raise InputError("expected --certificate and --key together; `flowxfer provenance init` makes a pair for tests")
    if no_mark and certificate is not None:
        raise InputError("expected --no-mark or --certificate, got both; a C2PA manifest is a mark")
    if no_mark:
        typer.echo(DUTY, err=True)
    return Marks(not no_mark, Signer(certificate, key) if certificate and key else None)
