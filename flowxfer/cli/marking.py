"""What a command writes into its results about how they were made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flowxfer.errors import InputError

if TYPE_CHECKING:
    from flowxfer.latents import Alpha
    from flowxfer.provenance import Mark, Signer
    from flowxfer.transferer import Transferer

__all__ = ["Marks", "marks"]

DUTY = (
    "flowxfer: --no-mark: the results do not say that they are synthetic; in the European Union, Regulation (EU) "
    "2024/1689 (AI Act), article 50(2) and (4), asks for a machine-readable mark, and for telling people"
)


@dataclass(frozen=True)
class Marks:
    """Makes the marks of one command's results, or None for each where they are not wanted."""

    wanted: bool
    signer: Signer | None

    def edited(self, flow: Transferer, *alphas: Alpha) -> Mark | None:
        """The mark of pictures that were given and changed, in these strengths."""
        from flowxfer.provenance import EDITED, Mark

        manifest = flow.manifest
        return Mark(EDITED, manifest.name, manifest.model_hash, alphas, self.signer) if self.wanted else None

    def generated(self, flow: Transferer) -> Mark | None:
        """The mark of pictures that the model drew."""
        from flowxfer.provenance import GENERATED, Mark

        manifest = flow.manifest
        return Mark(GENERATED, manifest.name, manifest.model_hash, (), self.signer) if self.wanted else None

    def inherited(self, path: Path) -> Mark | None:
        """The mark of a part of a picture: the picture's own."""
        from flowxfer.provenance import inherited

        mark = inherited(path) if self.wanted else None
        return mark and replace(mark, signer=self.signer)


def marks(no_mark: bool, certificate: Path | None, key: Path | None) -> Marks:
    """Read the options that every writing command has; ``--no-mark`` names the legal duty on stderr.

    Raises:
        InputError: the options contradict each other.
        ProvenanceError: the certificate or the key cannot be used.
        MissingExtraError: there is a certificate, and c2pa-python is not installed.
    """
    from flowxfer.provenance import Signer

    if (certificate is None) != (key is None):
        raise InputError("expected --certificate and --key together; `flowxfer provenance init` makes a pair for tests")
    if no_mark and certificate is not None:
        raise InputError("expected --no-mark or --certificate, got both; a C2PA manifest is a mark")
    if no_mark:
        typer.echo(DUTY, err=True)
    return Marks(not no_mark, Signer(certificate, key) if certificate and key else None)
