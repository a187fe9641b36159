"""The model and the pictures that come with flowxfer."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowxfer import Transferer
from flowxfer.evaluation.fidelity import TruePeople, changed_region, drift, pixel_arithmetic, relative_error
from flowxfer.faces import DlibDetector
from flowxfer.images import load_faces
from flowxfer.models import hub

FACES = Path(str(resources.files("flowxfer") / "data" / "faces"))


@pytest.fixture(scope="module")
def transferer():
    return Transferer(threads=1)


def test_it_is_bundled(transferer):
    assert hub.list_models()[hub.DEFAULT] == "bundled"
    assert transferer.manifest.name == hub.DEFAULT
    assert transferer.manifest.parity["round_trip_wrong"] == 0
    assert sum(file.stat().st_size for file in hub.resolve().iterdir()) < 20 * 2**20


def test_every_demo_picture_comes_back(transferer):
    folders = sorted({path.parent for path in FACES.rglob("*.png")})
    assert len(folders) == 11
    for folder in folders:
        faces = load_faces(folder, transferer.size, resize=True)
        np.testing.assert_array_equal(transferer.decode(transferer.encode(faces)), faces)


@pytest.fixture(scope="module")
def transferred(transferer):
    """Of each expression: four held-out faces before it, with it in truth, transferred by model, and by pixels."""
    people = TruePeople.read(FACES)
    target, neutral = people.faces("neutral", transferer.size), people.neutral(transferer.size)
    return {
        name: (
            target,
            people.faces(name, transferer.size),
            transferer.transfer(target, people.performed(name, transferer.size), neutral, 1.0),
            pixel_arithmetic(target, people.performed(name, transferer.size), neutral, 1.0),
        )
        for name in people.expressions
    }


def test_transfers_are_as_near_to_the_truth_as_its_card_says(transferred):
    """The card's figures are of 48 other people; these bounds leave room for the four people here."""
    errors, outside = {}, []
    for name, (target, truth, made, pixels) in transferred.items():
        region = changed_region(target, truth)
        errors[name] = relative_error(made, truth, target, region)
        outside.append(drift(made, target, region))
        assert errors[name] < 0.9 * relative_error(pixels, truth, target, region)
    assert np.mean(list(errors.values())) < 0.25
    assert errors["closed"] < 0.15
    assert np.mean(outside) < 1.8


def test_the_sampler_draws_faces():
    sampler = Transferer(hub.SAMPLER, threads=1)
    assert hub.list_models()[hub.SAMPLER] == "bundled"
    assert sampler.self_test() == 0
    faces = sampler.sample(16, temperature=0.7, seed=0)
    detector = DlibDetector()
    enlarged = (np.asarray(Image.fromarray(face).resize((256, 256), Image.Resampling.BICUBIC)) for face in faces)
    assert sum(len(detector.detect(face)) == 1 for face in enlarged) >= 12
