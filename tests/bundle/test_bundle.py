"""A bundle is verified before anything in it is used."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowxfer.bundle import DECODE, ENCODE, MANIFEST, WEIGHTS, Bundle, Manifest, sha256
from flowxfer.directions.attributes import ATTRIBUTES, Attributes
from flowxfer.errors import BundleError


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


def rewrite(bundle, **fields):
    """Change fields of the manifest, and its hashes to the files as they are."""
    values = json.loads((bundle / MANIFEST).read_text())
    values["files"] = {name: sha256(bundle / name) for name in values["files"]}
    (bundle / MANIFEST).write_text(json.dumps(values | fields))


def test_an_untouched_bundle_opens(bundle):
    manifest = Bundle.open(bundle).manifest
    assert manifest.name == "tiny"
    assert manifest.latent_shapes == ((6, 16, 16), (12, 8, 8), (48, 4, 4))
    assert len(manifest.model_hash) == 64


@pytest.mark.parametrize("name", [ENCODE, DECODE, WEIGHTS])
def test_the_damaged_file_is_named(bundle, name):
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} in .* is damaged: expected SHA-256 .*; fetch the bundle again"):
        Bundle.open(bundle)


def test_a_missing_file_is_named(bundle):
    (bundle / WEIGHTS).unlink()
    with pytest.raises(BundleError, match="expected the file weights.bin in the bundle"):
        Bundle.open(bundle)


def test_no_bundle(tmp_path):
    with pytest.raises(BundleError, match="expected a bundle with a manifest.json in .*; `flowxfer export` makes one"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "a\\b", "..", "", "\x1b[2J"])
def test_names_may_not_leave_the_folder(bundle, name):
    files = json.loads((bundle / MANIFEST).read_text())["files"]
    rewrite(bundle, files=files | {name: "0"})
    with pytest.raises(BundleError, match="leaves the bundle"):
        Bundle.open(bundle)


def test_links_may_not_leave_the_folder(bundle, tmp_path):
    (tmp_path / "elsewhere").write_bytes((bundle / WEIGHTS).read_bytes())
    (bundle / WEIGHTS).unlink()
    os.symlink(tmp_path / "elsewhere", bundle / WEIGHTS)
    with pytest.raises(BundleError, match="expected weights.bin inside the bundle .*, but it links out of it"):
        Bundle.open(bundle)


@pytest.mark.parametrize("name", [MANIFEST, ENCODE, WEIGHTS, ATTRIBUTES])
@pytest.mark.parametrize("kind", ["device", "link to a device", "pipe", "folder"])
def test_only_regular_files_are_read(bundle, name, kind):
    (bundle / name).unlink(missing_ok=True)
    if kind == "link to a device":
        os.symlink("/dev/zero", bundle / name)
    elif kind == "device":
        os.symlink("null", bundle / name)  # as close as a test comes that may make no device
        os.mkfifo(bundle / "null")
    elif kind == "pipe":
        os.mkfifo(bundle / name)
    else:
        (bundle / name).mkdir()
    with pytest.raises(BundleError, match=f"expected {name} in.* the bundle .* (links out of it|something else)"):
        Attributes.of(Bundle.open(bundle))


def test_a_link_to_itself(bundle):
    (bundle / MANIFEST).unlink()
    os.symlink(MANIFEST, bundle / MANIFEST)
    with pytest.raises(BundleError, match="expected JSON in"):
        Bundle.open(bundle)


def test_a_link_within_the_folder_is_followed(bundle):
    (bundle / WEIGHTS).rename(bundle / "other.bin")
    os.symlink("other.bin", bundle / WEIGHTS)
    assert Bundle.open(bundle).manifest.name == "tiny"


def test_an_enormous_manifest(bundle):
    with (bundle / MANIFEST).open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(BundleError, match="expected JSON in .*: it has more than 1048576 bytes"):
        Bundle.open(bundle)


def test_a_graph_that_is_none(bundle):
    (bundle / DECODE).write_bytes(b"\x3a\xff\xff\xff\xff\x0f")
    rewrite(bundle)
    with pytest.raises(BundleError, match="expected in .*decode.onnx a graph that flowxfer exported"):
        Bundle.open(bundle)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": 2}, "expected a manifest of format 1"),
        ({"image_size": "32"}, "image_size is not a int"),
        ({"latents": "cooked"}, "unknown latents 'cooked'"),
        ({"latent_shapes": [[1, 2]]}, "latent_shapes are not|image_size, bits or latent_shapes are not"),
        ({"latent_shapes": [[6, 16, 16]]}, "latent_shapes are not|image_size, bits or latent_shapes are not"),
        ({"latent_shapes": [[12, 16, 16]]}, "image_size, bits or latent_shapes are not those of the architecture"),
        ({"latent_shapes": []}, "latent_shapes are not|image_size, bits or latent_shapes are not"),
        ({"image_size": 0}, "image_size, bits or latent_shapes are not those"),
        ({"image_size": 4096}, "image_size, bits or latent_shapes are not those"),
        ({"bits": -3}, "image_size, bits or latent_shapes are not those"),
        ({"bits": 10**30}, "image_size, bits or latent_shapes are not those"),
        ({"bits": 5}, "image_size, bits or latent_shapes are not those of the architecture"),
        ({"architecture": {}}, "image_size, bits or latent_shapes are not those of the architecture"),
        ({"architecture": {"width": "\x1b"}}, "expected width to be a int"),
        ({"architecture": {"image_size": 2**40, "levels": 1}}, "image_size is more than 2048"),
        ({"parity": {"encode": "much"}}, "parity is not of numbers"),
        ({"name": "a\x1b]0;b"}, "name has characters that cannot be printed"),
        ({"licence": "a\nb"}, "licence has characters that cannot be printed"),
        ({"origin": "a\u202eb"}, "origin has characters that cannot be printed"),
        ({"parity": {"\x1b": 1.0}}, "parity is not of numbers"),
        ({"extra": 1}, "unexpected keyword argument 'extra'"),
        ({"files": {}}, "files lacks combine.onnx, decode.onnx, encode.onnx, weights.bin"),
        ({"files": []}, "files is not a dict"),
    ],
)
def test_manifests_are_checked(bundle, fields, message):
    rewrite(bundle, **fields)
    with pytest.raises(BundleError, match=message):
        Bundle.open(bundle)


def test_a_manifest_that_is_no_json(bundle):
    (bundle / MANIFEST).write_text("{")
    with pytest.raises(BundleError, match=r"expected JSON in .*manifest.json"):
        Bundle.open(bundle)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_manifests_raise_one_error(tiny_bundle, tmp_path, data):
    text = bytearray((tiny_bundle / MANIFEST).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / MANIFEST).write_bytes(text)
    try:
        Manifest.read(tmp_path)
    except BundleError:
        pass
