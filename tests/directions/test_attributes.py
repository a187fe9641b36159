import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from flowxfer import Latents, Transferer
from flowxfer.bundle import Bundle
from flowxfer.directions import ATTRIBUTES, Attributes, openai_latents
from flowxfer.errors import BundleError, InputError, LatentsError

NAMES = ("Smiling", "Bald", "Male")


@pytest.fixture
def flow(tiny_transferer):
    return tiny_transferer


def vectors(flow, count=3, seed=0):
    rng = np.random.default_rng(seed)
    levels = [rng.normal(size=(count, *shape)).astype(np.float32) for shape in flow.manifest.latent_shapes]
    return Latents(levels, flow.manifest.model_hash)


@pytest.fixture
def attributes(flow):
    return Attributes(NAMES, vectors(flow))


@pytest.fixture
def faces():
    return np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8)


def equal(a, b):
    for x, y in zip(a.levels, b.levels, strict=True):
        np.testing.assert_array_equal(x, y)


# ---------------------------------------------------------------- along a direction


def test_alpha_0_gives_every_pixel_back(flow, attributes, faces):
    np.testing.assert_array_equal(flow.manipulate(faces, attributes["Bald"], 0), faces)
    np.testing.assert_array_equal(flow.manipulate(faces, attributes.mixed({})), faces)


def test_a_transfer_goes_along_the_expression_vector(flow, faces):
    direction = flow.direction(faces[0], faces[1:])
    np.testing.assert_array_equal(
        flow.manipulate(faces, direction, 0.5), flow.transfer(faces, faces[0], faces[1:], 0.5)
    )


def test_it_is_latent_arithmetic(flow, attributes, faces):
    z = flow.encode(faces)
    expected = flow.decode(Latents(z.levels, z.model_hash) + 0.3 * attributes["Smiling"])
    found = flow.manipulate(faces, attributes["Smiling"], 0.3)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found != faces).any()


def test_one_direction_for_each_face(flow, attributes, faces):
    each = Latents(vectors(flow).levels, flow.manifest.model_hash)
    found = flow.manipulate(faces, each, 0.2)
    expected = [flow.manipulate(face, attributes[name], 0.2)[0] for face, name in zip(faces, NAMES, strict=True)]
    np.testing.assert_array_equal(found, expected)


def test_what_is_no_direction(flow, attributes, faces):
    with pytest.raises(InputError, match=r'expected latents, such as attributes\["Smiling"\], got str'):
        flow.manipulate(faces, "Smiling")
    with pytest.raises(InputError, match="expected one expression or direction, or one for each of 3 targets, got 2"):
        flow.manipulate(faces, attributes.only(NAMES[:2])._directions)
    with pytest.raises(LatentsError, match="expected latents of model"):
        flow.manipulate(faces, Latents(attributes["Bald"].levels, "another"))


# ---------------------------------------------------------------- vectors by name


def test_names(flow, attributes):
    assert list(attributes) == list(NAMES)
    assert len(attributes) == 3
    assert "Young" not in attributes
    assert repr(attributes).endswith(": Smiling, Bald, Male>")
    equal(attributes["Bald"], vectors(flow)[1])
    with pytest.raises(KeyError):
        attributes["Young"]


def test_some_of_them(attributes):
    some = attributes.only(["Male", "Smiling"])
    assert list(some) == ["Male", "Smiling"]
    equal(some["Male"], attributes["Male"])


def test_a_mix_is_the_sum(attributes):
    mixed = attributes.mixed({"Male": -0.5, "Smiling": 2})
    expected = 2 * attributes["Smiling"] - 0.5 * attributes["Male"]
    for x, y in zip(mixed.levels, expected.levels, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-6)


def test_what_cannot_be_mixed(attributes, flow):
    with pytest.raises(InputError, match="expected an attribute of the model, got 'smiling'; did you mean Smiling"):
        attributes.mixed({"smiling": 1})
    with pytest.raises(InputError, match="got 'Young'; there are Smiling, Bald, Male"):
        attributes.mixed({"Young": 1})
    with pytest.raises(InputError, match="expected a finite number for Bald, from -1000 to 1000, got nan"):
        attributes.mixed({"Bald": float("nan")})
    with pytest.raises(InputError, match="expected a finite number for Bald, from -1000 to 1000, got '0.8'"):
        attributes.mixed({"Bald": "0.8"})
    with pytest.raises(InputError, match="got 'Young'; there are none; `flowxfer attributes learn` makes some"):
        flow.attributes.mixed({"Young": 1})


@pytest.mark.parametrize(
    "names",
    [("a", "b"), ("a", "b", "b"), ("a", "b", "c", "c"), ("a", "b", ""), ("a", "b", "\x1b[2J"), ("a", "b", "\ud800")],
)
def test_names_that_do_not_fit(flow, names):
    with pytest.raises(InputError, match="expected 3 names that differ for as many vectors, got"):
        Attributes(names, vectors(flow))


# ---------------------------------------------------------------- files


def test_a_file_keeps_them(flow, attributes, tmp_path):
    attributes.save(tmp_path / "a.safetensors")
    loaded = Attributes.load(tmp_path / "a.safetensors", flow.manifest)
    assert list(loaded) == list(attributes)
    for name in NAMES:
        equal(loaded[name], attributes[name])
    equal(Latents.load(tmp_path / "a.safetensors"), vectors(flow))  # which they are, too


def test_what_comes_with_a_bundle(flow, attributes, tiny_bundle, tmp_path):
    assert len(flow.attributes) == 0
    equal(flow.attributes.mixed({}), 0 * attributes["Bald"])
    folder = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    attributes.save(folder / ATTRIBUTES)
    with_them = Transferer(folder, threads=1)
    assert list(with_them.attributes) == list(NAMES)
    assert with_them.manifest.model_hash == flow.manifest.model_hash  # they change nothing of the model


def test_files_that_are_none(flow, attributes, tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(LatentsError, match="expected a safetensors file at"):
        Attributes.load(path, flow.manifest)
    vectors(flow).save(path)
    with pytest.raises(
        LatentsError, match="expected attributes that flowxfer saved in .*: they are no list of names; learn them again"
    ):
        Attributes.load(path, flow.manifest)
    attributes.save(path)
    other = replace(flow.manifest, files={**flow.manifest.files, "encode.onnx": "other"})
    with pytest.raises(LatentsError, match="expected attributes of the model tiny in .*, got those of another"):
        Attributes.load(path, other)
    narrow = Latents([z[:, :, :1] for z in vectors(flow).levels], flow.manifest.model_hash)
    Attributes(NAMES, narrow).save(path)
    with pytest.raises(LatentsError, match="expected attributes of the model tiny in .*, got those of another"):
        Attributes.load(path, flow.manifest)


def test_a_bit_that_flipped(flow, attributes, tmp_path):
    path = tmp_path / "a.safetensors"
    attributes.save(path)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        LatentsError, match="expected attributes that flowxfer saved .*: the vectors are not those that"
    ):
        Attributes.load(path, flow.manifest)


def test_vectors_that_are_not_finite(flow, tmp_path):
    directions = vectors(flow)
    directions.levels[0][1, 0, 0, 0] = np.nan
    Attributes(NAMES, directions).save(tmp_path / "a.safetensors")
    with pytest.raises(LatentsError, match="expected attributes that flowxfer saved .*: a vector is not finite"):
        Attributes.load(tmp_path / "a.safetensors", flow.manifest)


def test_a_link_out_of_the_bundle(attributes, tiny_bundle, tmp_path):
    (tmp_path / "bundle").mkdir()
    attributes.save(tmp_path / "outside.safetensors")
    (tmp_path / "bundle" / ATTRIBUTES).symlink_to(tmp_path / "outside.safetensors")
    with pytest.raises(
        BundleError, match="expected attributes.safetensors inside the bundle .*, but it links out of it"
    ):
        Attributes.of(replace(Bundle.open(tiny_bundle), path=tmp_path / "bundle"))


def test_an_expression_vector_may_have_a_name(flow, faces, tmp_path):
    """It is no face: where it was computed does not matter any more."""
    named = Attributes(["Smiling"], flow.direction(faces[0], faces[1]))
    assert named["Smiling"].numerics is None
    assert list(pickle.loads(pickle.dumps(named))) == ["Smiling"]


@pytest.mark.parametrize("names", ["", "[", '"Smiling"', "[1, 2, 3]", '["a", "b"]', '["a", "b", "b"]', "[" * 100_000])
def test_damaged_names(flow, tmp_path, names):
    path = tmp_path / "a.safetensors"
    arrays = {f"z{level}": z for level, z in enumerate(vectors(flow).levels)}
    save_file(arrays, path, {"flowxfer.model": flow.manifest.model_hash, "flowxfer.attributes": names})
    with pytest.raises(LatentsError, match="expected attributes that flowxfer saved in"):
        Attributes.load(path, flow.manifest)


# ---------------------------------------------------------------- OpenAI's


def test_the_vectors_of_the_demo(flow, tmp_path):
    directions = vectors(flow, 40)
    np.save(tmp_path / "z_manipulate.npy", openai_latents.flatten(directions.levels))
    loaded = Attributes.from_openai(tmp_path / "z_manipulate.npy", flow.manifest)
    assert len(loaded) == 40
    for index, name in ((0, "5_o_Clock_Shadow"), (20, "Male"), (31, "Smiling"), (39, "Young")):
        equal(loaded[name], directions[index])


def test_other_vectors_are_refused(flow, tmp_path):
    np.save(tmp_path / "three.npy", openai_latents.flatten(vectors(flow).levels))
    with pytest.raises(LatentsError, match="for the 40 attributes of CelebA in .*, got 3 and a model with eps latents"):
        Attributes.from_openai(tmp_path / "three.npy", flow.manifest)
    np.save(tmp_path / "forty.npy", openai_latents.flatten(vectors(flow, 40).levels))
    with pytest.raises(LatentsError, match="got 40 and a model with raw latents"):
        Attributes.from_openai(tmp_path / "forty.npy", replace(flow.manifest, latents="raw"))


def test_names_are_written_as_json(attributes, tmp_path):
    from safetensors import safe_open

    attributes.save(tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", framework="np") as file:
        assert json.loads(file.metadata()["flowxfer.attributes"]) == list(NAMES)


def test_a_bundle_whose_file_is_damaged(tiny_bundle, tmp_path):
    bundle = Bundle.open(tiny_bundle)
    moved = replace(bundle, path=tmp_path)
    (tmp_path / ATTRIBUTES).write_bytes(b"no safetensors")
    with pytest.raises(LatentsError, match="expected a safetensors file in .*attributes.safetensors"):
        Attributes.of(moved)
