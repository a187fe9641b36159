"""A bundle is verified before anything in it is used."""

from __future__ import annotations

import json
import os
import shutil

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowxfer.bundle import DECODE, ENCODE, MANIFEST, WEIGHTS, Bundle, Manifest, sha256
from flowxfer.bundle.external_data import external_locations
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


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "a\\b", "..", ""])
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


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "manifest.json"])
@pytest.mark.parametrize("place", ["initializer", "attribute", "subgraph"])
def test_external_data_may_not_leave_the_bundle(bundle, location, place):
    model = onnx.load(bundle / ENCODE, load_external_data=False)
    tensor = onnx.TensorProto(name="spy", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    if place == "initializer":
        model.graph.initializer.append(tensor)
    else:
        node = onnx.helper.make_node("Constant", [], ["spy"], value=tensor)
        if place == "subgraph":
            graph = onnx.helper.make_graph([node], "inner", [], [])
            node = onnx.helper.make_node("If", ["x"], ["y"], then_branch=graph, else_branch=graph)
        model.graph.node.append(node)
    (bundle / ENCODE).write_bytes(model.SerializeToString())
    rewrite(bundle)
    with pytest.raises(BundleError, match=f"external data of .*encode.onnx in weights.bin only, got '{location}'"):
        Bundle.open(bundle)


def test_a_graph_that_is_none(bundle):
    (bundle / DECODE).write_bytes(b"\x3a\xff\xff\xff\xff\x0f")
    rewrite(bundle)
    with pytest.raises(BundleError, match="expected an ONNX graph in .*decode.onnx"):
        Bundle.open(bundle)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": 2}, "expected a manifest of format 1"),
        ({"image_size": "32"}, "image_size is not a int"),
        ({"latents": "cooked"}, "unknown latents 'cooked'"),
        ({"latent_shapes": [[1, 2]]}, "latent_shapes are not"),
        ({"latent_shapes": [[6, 16, 16]]}, "do not hold an image"),
        ({"extra": 1}, "unexpected keyword argument 'extra'"),
        ({"files": {}}, "files lacks combine.onnx, decode.onnx, encode.onnx, weights.bin"),
        ({"files": []}, "files is not an object"),
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


def test_external_locations_of_our_graphs(tiny_bundle):
    assert external_locations((tiny_bundle / ENCODE).read_bytes()) == {WEIGHTS}


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=200))
def test_any_bytes_give_locations_or_an_error(data):
    try:
        assert isinstance(external_locations(data), set)
    except ValueError:
        pass


def test_depth_is_bounded():
    def field(number, content):
        length, size = b"", len(content)
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + content

    graph = b""
    for _ in range(40):
        graph = field(1, field(5, field(6, graph)))  # a graph in an attribute in a node in a graph
    with pytest.raises(ValueError, match="nest deeper than 32"):
        external_locations(field(7, graph))
