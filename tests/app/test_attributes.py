"""Attributes in the app, without a browser."""

from __future__ import annotations

import numpy as np
import pytest

from flowxfer import Latents, images
from flowxfer.app import Studio
from flowxfer.directions import Attributes
from flowxfer.errors import InputError
from flowxfer.provenance import read


@pytest.fixture
def attributes(tiny_transferer):
    rng = np.random.default_rng(0)
    levels = [0.3 * rng.normal(size=(2, *shape)) for shape in tiny_transferer.manifest.latent_shapes]
    return Attributes(["Smiling", "Male"], Latents(levels, tiny_transferer.manifest.model_hash))


@pytest.fixture
def studio(tiny_transferer, tmp_path, attributes):
    return Studio(tiny_transferer, tmp_path, attributes=attributes)


def test_a_change_is_the_librarys(studio, attributes):
    face = studio.demo["target"][0]
    result = studio.manipulate(face, {"Smiling": 0.5, "Male": 0})
    expected = studio.flow.decode(face.latents + 0.5 * attributes["Smiling"])[0]
    assert np.array_equal(images.load(result.face), expected)
    assert np.array_equal(studio.flow.decode(Latents.load(result.latents))[0], expected)
    assert read(result.face).alphas == (0.5,)


def test_0_gives_the_face_back(studio):
    face = studio.demo["target"][1]
    assert np.array_equal(images.load(studio.manipulate(face, {"Smiling": 0, "Male": 0}).face), face.picture.face)


def test_what_the_model_has_not(studio):
    with pytest.raises(InputError, match="expected an attribute of the model, got 'Young'"):
        studio.manipulate(studio.demo["target"][0], {"Young": 1})


def test_by_default_it_has_those_of_the_model(tiny_transferer, tmp_path):
    assert not Studio(tiny_transferer, tmp_path).attributes
