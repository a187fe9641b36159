"""C2PA: manifests that a certificate signs, by the library c2pa-python; nothing here asks the network by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from flowxfer.errors import ProvenanceError, reason
from flowxfer.provenance.marks import GENERATED, Mark, describe, tool
from flowxfer.provenance.signer import c2pa_library, certificate_in

__all__ = ["Manifest", "read_manifest", "sign"]

_OFFLINE: dict[str, Any] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},  # another copy of the picture, which nobody asked for
}


@dataclass(frozen=True)
class Manifest:
    """What a file's C2PA manifest says, and whether it is to be believed.

    Args:
        state: ``Trusted``, ``Valid`` (intact, but nobody here vouches for who signed) or ``Invalid``.
        signed_by: the name in the certificate.
        generator: the program that wrote it.
        source_types: the digital source types of its actions.
        failures: what does not hold, in C2PA's codes.
    """

    state: str
    signed_by: str | None = None
    generator: str | None = None
    source_types: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


def sign(source: BinaryIO, target: BinaryIO, mime: str, mark: Mark, parent: tuple[BinaryIO, str] | None = None) -> None:
    """Copy a picture or film with a manifest in it, which ``mark.signer`` has signed.

    Args:
        source: the marked file.
        target: where to; it is read and written.
        mime: the MIME type of both.
        mark: what to say.
        parent: the picture that was changed and its MIME type; its own manifest is kept in the new one.

    Raises:
        ProvenanceError: it cannot be signed.
    """
    assert mark.signer is not None
    library = c2pa_library()
    with mark.signer.open() as signer, library.Context.from_dict(_OFFLINE) as context:
        try:
            with library.Builder.from_json(json.dumps(_claim(mark, parent is not None)), context) as builder:
                if parent is not None:
                    builder.add_ingredient({"relationship": "parentOf", "label": "parent"}, parent[1], parent[0])
                builder.sign(signer, mime, source, target)
        except library.C2paError as error:
            raise ProvenanceError(f"expected to sign with {mark.signer.certificate}, but: {reason(error)}") from error


def read_manifest(file: BinaryIO, mime: str, trust: Path | None = None) -> Manifest | None:
    """Read and validate a file's manifest; None where it has none.

    Args:
        file: the picture or film.
        mime: its MIME type.
        trust: a PEM file of certificates, whose signatures are trusted.

    Raises:
        ProvenanceError: ``trust`` holds no certificates.
        MissingExtraError: c2pa-python is not installed.
    """
    library = c2pa_library()
    settings = dict(_OFFLINE)
    if trust is not None:
        certificate_in(trust)
        settings["trust"] = {"trust_anchors": trust.read_text(encoding="utf-8")}
    try:
        with library.Context.from_dict(settings) as context:
            reader = library.Reader.try_create(mime, file, context=context)
            if reader is None:
                return None
            with reader:
                found, state = json.loads(reader.json()), reader.get_validation_state()
    except library.C2paError as error:
        return Manifest("Invalid", failures=(f"it cannot be read: {reason(error)}",))
    active = found.get("manifests", {}).get(found.get("active_manifest"), {})
    generator: dict[str, Any] = next(iter(active.get("claim_generator_info", [])), {})
    return Manifest(
        state=state or "Invalid",
        signed_by=active.get("signature_info", {}).get("common_name"),
        generator=" ".join(str(generator[key]) for key in ("name", "version") if key in generator),
        source_types=tuple(dict.fromkeys(_source_types(active))),
        failures=tuple(status["code"] for status in found.get("validation_status", [])),
    )


def _source_types(manifest: dict[str, Any]) -> Iterator[str]:
    """What the actions say, which have the shape that whoever wrote them gave them."""
    for assertion in manifest.get("assertions", []):
        data = assertion.get("data")
        actions = data.get("actions") if isinstance(data, dict) else None
        for action in actions if isinstance(actions, list) else ():
            source_type = action.get("digitalSourceType") if isinstance(action, dict) else None
            if isinstance(source_type, str):
                yield source_type


def _claim(mark: Mark, opened: bool) -> dict[str, Any]:
    """The manifest before it is signed; its first action has to be c2pa.opened or c2pa.created."""
    name, version = tool().split()
    said = {
        "digitalSourceType": mark.source_type,
        "softwareAgent": {"name": name, "version": version},
        "description": describe(mark),
    }
    actions: list[dict[str, Any]] = [{"action": "c2pa.created", **said}]
    if opened:
        actions = [{"action": "c2pa.opened", "parameters": {"ingredientIds": ["parent"]}}]
    if mark.source_type != GENERATED:
        actions.append({"action": "c2pa.edited", **said})
    return {
        "claim_generator_info": [{"name": name, "version": version}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }
