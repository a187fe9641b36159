"""C2PA: manifests that are signed, validated, tampered with, and refused."""

from __future__ import annotations

import stat
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from flowxfer import images
from flowxfer.errors import MissingExtraError, ProvenanceError
from flowxfer.provenance import EDITED, GENERATED, Mark, Signer, make_test_certificate, mark, marked, read, stamp, tags
from tests.provenance.samples import FILMS, MARK, PICTURES, PIXELS, SAID, exiftool, film, picture, pixels

c2pa = pytest.importorskip("c2pa")
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402

from flowxfer.provenance.certificates import _certify  # noqa: E402

LEAF, ROOT = "flowxfer TEST certificate – not trusted", "flowxfer TEST root – not trusted"


@pytest.fixture
def signed(pair):
    return replace(MARK, signer=Signer(*pair))


@pytest.fixture(params=[*PICTURES, *FILMS])
def path(request, tmp_path):
    if request.param in PICTURES:
        return picture(tmp_path, request.param)
    return film(tmp_path / request.param, **FILMS[request.param])


def test_no_pixel_changes_and_the_manifest_is_valid(path, signed, pair):
    before = pixels(path)
    mark(path, signed)
    assert np.array_equal(pixels(path), before)
    found = read(path)
    assert found.manifest.state == "Valid"
    assert found.manifest.failures == ("signingCredential.untrusted",)
    assert (found.manifest.signed_by, found.manifest.generator) == (LEAF, "flowxfer 0.1.0")
    assert found.manifest.source_types == (EDITED,)
    assert found.mark() == MARK  # the XMP is still there
    trusted = read(path, trust=pair[0]).manifest
    assert (trusted.state, trusted.failures) == ("Trusted", ())


def test_others_read_the_mark_of_a_signed_file(path, signed):
    mark(path, signed)
    (found,) = exiftool("-XMP:all", path)
    assert found["DigitalSourceType"] == SAID["DigitalSourceType"]


def test_the_librarys_own_reader_agrees(tmp_path, signed):
    path = picture(tmp_path, "face.png")
    mark(path, signed)
    with c2pa.Reader(path) as reader:
        manifest = reader.get_active_manifest()
    actions = manifest["assertions"][0]["data"]["actions"]
    assert [action["action"] for action in actions] == ["c2pa.created", "c2pa.edited"]
    assert {action["digitalSourceType"] for action in actions} == {EDITED}
    assert actions[1]["description"].startswith("Synthetic: changed by artificial intelligence (flowxfer 0.1.0, model")
    assert "thumbnail" not in manifest


def test_what_the_model_drew_was_not_edited(tmp_path, pair):
    data = marked(picture(tmp_path, "face.png").read_bytes(), Mark(GENERATED, signer=Signer(*pair)))
    (tmp_path / "new.png").write_bytes(data)
    with c2pa.Reader(tmp_path / "new.png") as reader:
        (action,) = reader.get_active_manifest()["assertions"][0]["data"]["actions"]
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", GENERATED)


@pytest.mark.parametrize("name", ["face.png", "face.jpg"])
def test_a_changed_pixel_is_noticed(tmp_path, signed, name):
    path = picture(tmp_path, name)
    mark(path, signed)
    data = bytearray(path.read_bytes())
    data[-300] ^= 1
    path.write_bytes(data)
    found = read(path).manifest
    assert found.state == "Invalid"
    assert "assertion.dataHash.mismatch" in found.failures


def test_a_changed_mark_is_noticed(tmp_path, signed):
    path = picture(tmp_path, "face.jpg")
    mark(path, signed)
    path.write_bytes(path.read_bytes().replace(b"SourceType>http://cv", b"SourceType>http://no"))
    assert read(path).manifest.state == "Invalid"
    assert read(path).synthetic  # as the manifest still says
    assert read(path).mark() == MARK


def test_the_original_is_the_parent(tmp_path, signed):
    original = picture(tmp_path, "face.jpg")
    mark(original, replace(signed, source_type=GENERATED))
    images.save(PIXELS, tmp_path / "new.png", signed, original=original)
    with c2pa.Reader(tmp_path / "new.png") as reader:
        manifest = reader.get_active_manifest()
        before = reader.get_manifest(manifest["ingredients"][0]["active_manifest"])
    assert manifest["ingredients"][0]["relationship"] == "parentOf"
    assert before["assertions"][0]["data"]["actions"][0]["digitalSourceType"] == GENERATED
    actions = manifest["assertions"][0]["data"]["actions"]
    assert [action["action"] for action in actions] == ["c2pa.opened", "c2pa.edited"]
    assert read(tmp_path / "new.png").manifest.state == "Valid"


def test_an_original_of_another_format_is_no_parent(tmp_path, signed):
    Image.fromarray(PIXELS).save(tmp_path / "old.bmp")
    images.save(PIXELS, tmp_path / "new.png", signed, original=tmp_path / "old.bmp")
    assert read(tmp_path / "new.png").manifest.state == "Valid"


def test_matroska_cannot_be_signed(tmp_path, signed):
    with pytest.raises(ProvenanceError, match="and never signed"):
        stamp(film(tmp_path / "a.mkv", tags(MARK)), signed)


def test_without_the_library_a_manifest_is_seen_and_not_checked(tmp_path, signed, monkeypatch):
    path = picture(tmp_path, "face.png")
    mark(path, signed)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert read(path).manifest.state == "Unchecked"
    assert read(path).synthetic
    with pytest.raises(MissingExtraError, match=r"needs c2pa-python, which is not installed; .*flowxfer\[c2pa\]"):
        mark(path, signed)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(MissingExtraError, match="A test certificate needs cryptography"):
        make_test_certificate(tmp_path / "chain.pem", tmp_path / "key.pem")


def test_a_manifest_that_cannot_be_read(tmp_path, signed):
    path = picture(tmp_path, "face.jpg")
    mark(path, signed)
    path.write_bytes(path.read_bytes().replace(b"cbor", b"cbox"))
    found = read(path)
    assert (found.manifest.state, found.manifest.source_types) == ("Invalid", ())
    assert found.manifest.failures[0].startswith("it cannot be read: ")
    assert found.mark() == MARK  # of the XMP


# ---------------------------------------------------------------- certificates and keys


def test_the_test_certificate_says_what_it_is(pair):
    from cryptography import x509

    leaf, root = x509.load_pem_x509_certificates(pair[0].read_bytes())
    assert [_name(leaf.subject), _name(leaf.issuer), _name(root.subject)] == [LEAF, ROOT, ROOT]
    leaf.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [use.dotted_string for use in usage] == ["1.3.6.1.5.5.7.3.4"]  # e-mail protection, as C2PA allows
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days == 365


def _name(name) -> str:
    from cryptography.x509.oid import NameOID

    return name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def test_only_the_user_may_read_the_key(pair):
    assert stat.S_IMODE(pair[1].stat().st_mode) == 0o600


def test_a_second_pair_takes_the_place_of_the_first(tmp_path):
    for _ in range(2):
        make_test_certificate(tmp_path / "chain.pem", tmp_path / "key.pem")
        Signer(tmp_path / "chain.pem", tmp_path / "key.pem")


def test_pairs_that_are_refused(tmp_path, pair):
    chain, key = pair
    make_test_certificate(tmp_path / "other.pem", tmp_path / "otherkey.pem")
    with pytest.raises(ProvenanceError, match=r"expected the key of the certificate .*chain.pem, got another in"):
        Signer(chain, tmp_path / "otherkey.pem")
    with pytest.raises(ProvenanceError, match=r"expected certificates in PEM in .*key.pem"):
        Signer(key, key)
    with pytest.raises(ProvenanceError, match=r"expected a private key in PEM, without a password, in .*chain.pem"):
        Signer(chain, chain)
    with pytest.raises(FileNotFoundError):
        Signer(tmp_path / "nothing.pem", key)


def _write_pair(folder, certificates, key) -> Signer:
    from cryptography.hazmat.primitives import serialization

    pem = serialization.Encoding.PEM
    (folder / "chain.pem").write_bytes(b"".join(certificate.public_bytes(pem) for certificate in certificates))
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    return Signer(folder / "chain.pem", folder / "key.pem")


def test_a_root_alone_cannot_sign(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    signer = _write_pair(tmp_path, [_certify(key.public_key(), key, ca=True)], key)
    path = picture(tmp_path, "face.png")
    before = path.read_bytes()
    with pytest.raises(ProvenanceError, match=r"expected to sign with .*chain.pem, but: .*self-signed"):
        mark(path, Mark(signer=signer))
    assert path.read_bytes() == before


KEYS = {
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_each_kind_that_c2pa_allows(tmp_path, kind):
    root, key = ec.generate_private_key(ec.SECP256R1()), KEYS[kind]()
    certificates = [_certify(key.public_key(), root, ca=False), _certify(root.public_key(), root, ca=True)]
    path = picture(tmp_path, "face.png")
    mark(path, Mark(signer=_write_pair(tmp_path, certificates, key)))
    assert read(path).manifest.state == "Valid"


def test_keys_that_c2pa_does_not_allow(tmp_path):
    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256K1())
    with pytest.raises(ProvenanceError, match="expected a key that C2PA allows: ECDSA on P-256"):
        _write_pair(tmp_path, [_certify(key.public_key(), root, ca=False)], key)


def test_no_certificates_to_trust(tmp_path, signed, pair):
    path = picture(tmp_path, "face.png")
    mark(path, signed)
    with pytest.raises(ProvenanceError, match=r"expected certificates in PEM in .*key.pem"):
        read(path, trust=pair[1])
