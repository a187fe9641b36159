"""The vectors that come with the bundled model, against the true pictures of people whom nobody learned from."""

from importlib import resources

import numpy as np
import pytest

from flowxfer import Transferer, images

TRUTH = resources.files("flowxfer") / "data" / "faces" / "truth"
EXPRESSIONS = {
    "Smiling": "smile",
    "Surprised": "surprise",
    "Angry": "anger",
    "Sad": "sadness",
    "Mouth_Open": "open",
    "Eyes_Closed": "closed",
}


@pytest.fixture(scope="module")
def flow():
    return Transferer(threads=1)


def people(name, size):
    return np.stack([images.load(str(TRUTH / f"id{n}" / f"{name}.png"), size) for n in range(1, 6)])


def test_there_are_expressions_and_traits(flow):
    assert list(flow.attributes) == [*EXPRESSIONS, "Male", "Beard", "Dark_Hair", "Gray_Hair"]


@pytest.mark.parametrize(("attribute", "expression"), EXPRESSIONS.items())
def test_an_expression_comes_nearer_to_the_true_picture(flow, attribute, expression):
    neutral, truth = people("neutral", flow.size).astype(float), people(expression, flow.size)
    changed = flow.manipulate(neutral.astype(np.uint8), flow.attributes[attribute])
    errors = ((changed - truth.astype(float)) ** 2).sum((1, 2, 3))
    assert (errors < 0.5 * ((neutral - truth) ** 2).sum((1, 2, 3))).all()


def test_hair_becomes_darker_and_brighter(flow):
    faces = people("neutral", flow.size)
    hair = np.s_[:, 4:10, 24:40]  # above the forehead
    brightness = faces[hair].mean()
    assert flow.manipulate(faces, flow.attributes["Dark_Hair"], 0.7)[hair].mean() < brightness - 10
    assert flow.manipulate(faces, flow.attributes["Gray_Hair"], 0.7)[hair].mean() > brightness + 10


def test_alpha_0_gives_every_pixel_back(flow):
    faces = people("neutral", flow.size)
    for name in flow.attributes:
        np.testing.assert_array_equal(flow.manipulate(faces, flow.attributes[name], 0), faces)
