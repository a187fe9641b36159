"""Who signs: a certificate and its key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowxfer.errors import ProvenanceError, reason, unimportable

if TYPE_CHECKING:
    import c2pa
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

__all__ = ["Signer", "c2pa_library", "certificate_in"]


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
        library = c2pa_library()
        certificate, key = certificate_in(self.certificate), _key(self.key)
        if certificate.public_key() != key.public_key():
            raise ProvenanceError(f"expected the key of the certificate {self.certificate}, got another in {self.key}")
        chain, secret = self.certificate.read_bytes(), self.key.read_bytes()
        try:
            info = library.C2paSignerInfo(_algorithm(key), chain, secret, self.timestamp_url)
            return library.Signer.from_info(info)
        except library.C2paError as error:
            raise ProvenanceError(f"{self.certificate} cannot sign C2PA manifests: {reason(error)}") from error


def certificate_in(path: Path) -> Certificate:
    """Read the first certificate of a PEM file.

    Raises:
        ProvenanceError: it holds none.
    """
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


def c2pa_library() -> Any:
    """The library that signs and reads manifests.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import c2pa
    except ImportError as error:
        raise unimportable(error, "c2pa-python", "c2pa", "A signed C2PA manifest") from error
    return c2pa
