"""A certificate to try C2PA with. Nobody vouches for it, and it says so in its name."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flowxfer.errors import unimportable
from flowxfer.files import replacing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.x509 import Certificate, Name

__all__ = ["make_test_certificate"]

_ROOT = "flowxfer TEST root – not trusted"
_LEAF = "flowxfer TEST certificate – not trusted"
_DAYS = 365


def make_test_certificate(chain: Path, key: Path) -> None:
    """Write a certificate for tests, with the root that vouches for it, and its private key.

    They follow C2PA's profile: ECDSA on P-256, an end entity that may sign e-mail, below a root, whose own key is
    thrown away. Only the user may read the key.

    Args:
        chain: the PEM file for the certificate and the root.
        key: the PEM file for the private key.

    Raises:
        MissingExtraError: cryptography is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise unimportable(error, "cryptography", "c2pa", "A test certificate") from error
    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    certificates = [
        _certify(leaf_key.public_key(), root_key, ca=False),
        _certify(root_key.public_key(), root_key, ca=True),
    ]
    pem = serialization.Encoding.PEM
    secret = leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with replacing(key, mode=0o600) as temporary:
        temporary.write_bytes(secret)
    with replacing(chain) as temporary:
        temporary.write_bytes(b"".join(certificate.public_bytes(pem) for certificate in certificates))


def _certify(public: EllipticCurvePublicKey, root_key: EllipticCurvePrivateKey, *, ca: bool) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(_ROOT if ca else _LEAF))
        .issuer_name(_name(_ROOT))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca, 0 if ca else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(root_key, hashes.SHA256())


def _name(common_name: str) -> Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "flowxfer TEST")  # C2PA's library shows it as issuer
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
