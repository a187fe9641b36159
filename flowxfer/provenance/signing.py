"""C2PA: manifests that a certificate signs, by the library c2pa-python; nothing here asks the network by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from flowxfer.errors import MissingExtraError, ProvenanceError, reason
from flowxfer.provenance.marks import GENERATED, Mark, describe, tool

if TYPE_CHECKING:
    import c2pa
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

__all__ = ["Manifest", "Signer", "read_manifest", "sign"]

_OFFLINE: dict[str, Any] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},  # another copy of the picture, which nobody asked for
}


@dataclass(frozen=True)
class Signer:
    """Who signs manifests.

    Args:
        certificate: a PEM file with the certificate, and after it those that vouch for it.
        key: a PEM file with its private key, without a password.
        timestamp_url: an RFC 3161 time stamp authority, which is then asked over the network.

    Raises:
        ProvenanceError: a file cannot be read, or the two do not belong together.
        MissingExtraError: c2pa-python is not installed.
    """

    certificate: Path
    key: Path
    timestamp_url: str | None = None

    def __post_init__(self) -> None:
        self.open().close()

    def open(self) -> c2pa.Signer:
        """Read the files, and make of them what signs."""
        library = _c2pa()
        certificate, key = _certificate(self.certificate), _key(self.key)
        if certificate.public_key() != key.public_key():
            raise ProvenanceError(f"expected the key of the certificate {self.certificate}, got another in {self.key}")
        chain, secret = self.certificate.read_bytes(), self.key.read_bytes()
        try:
            info = library.C2paSignerInfo(_algorithm(key), chain, secret, self.timestamp_url)
            return library.Signer.from_info(info)
        except library.C2paError as error:
            raise ProvenanceError(f"{self.certificate} cannot sign C2PA manifests: {reason(error)}") from error


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
    library = _c2pa()
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
    library = _c2pa()
    settings = dict(_OFFLINE)
    if trust is not None:
        _certificate(trust)
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


def _certificate(path: Path) -> Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except ValueError as error:
        raise ProvenanceError(f"expected certificates in PEM in {path}: {reason(error)}") from error


def _key(path: Path) -> PrivateKeyTypes:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(path.read_bytes(), password=None)
    except (TypeError, ValueError) as error:  # TypeError: it has a password
        raise ProvenanceError(
            f"expected a private key in PEM, without a password, in {path}: {reason(error)}"
        ) from error


def _algorithm(key: PrivateKeyTypes) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    raise ProvenanceError("expected a key that C2PA allows: ECDSA on P-256, P-384 or P-521, Ed25519 or RSA")


_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


def _c2pa() -> Any:
    try:
        import c2pa
    except ImportError:
        raise MissingExtraError("c2pa-python", "c2pa", "A signed C2PA manifest") from None
    return c2pa
