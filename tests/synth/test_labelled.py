import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra synth is not installed")

from flowxfer import images
from flowxfer.directions import read_labels
from flowxfer.errors import InputError
from flowxfer.synth import NEUTRAL, expression
from flowxfer.synth.__main__ import main
from flowxfer.synth.dataset import TRAINING_START, Shoot
from flowxfer.synth.labelled import write_labelled

PEOPLE = 12


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return write_labelled(tmp_path_factory.mktemp("labelled"), people=PEOPLE, size=16)


def test_each_person_shows_every_expression_and_none(labels):
    known = read_labels(labels)
    assert len(known.pictures) == 7 * PEOPLE
    assert sorted(path.name for path in labels.parent.glob("*.png")) == sorted(known.pictures)
    shown = known.values.reshape(PEOPLE, 7, -1)[:, :, : known.attributes.index("Male")]
    assert shown.shape[2] == 6
    np.testing.assert_array_equal(shown[0], np.vstack([-np.ones(6), 2 * np.eye(6) - 1]))
    assert (shown == shown[:1]).all()


def test_pictures_are_what_the_labels_say(labels):
    shoot = Shoot.sample(TRAINING_START + 1)
    for number, vector in ((8, NEUTRAL), (9, expression("smile")), (14, expression("closed"))):
        np.testing.assert_array_equal(images.load(labels.parent / f"{number:06}.png"), shoot.picture(vector, size=16))
    known = read_labels(labels)
    row = dict(zip(known.attributes, known.values[8], strict=True))
    assert row["Smiling"] == 1
    assert row["Eyes_Closed"] == -1


def test_traits_are_the_persons(labels):
    known = read_labels(labels)
    values = known.values.reshape(PEOPLE, 7, -1)
    for number in range(PEOPLE):
        person = Shoot.sample(TRAINING_START + number).sitter.person
        traits = dict(zip(known.attributes, values[number, 3], strict=True))
        assert (traits["Male"] == 1) == (person.sex == "male")
        assert (traits["Beard"] == 1) == (person.look.beard > 0.5)
        assert (traits["Gray_Hair"] == 1) == (person.hair_colour in ("grey", "white"))
        assert (traits["Young"] == 1) == (person.age_years < 35)
    assert len(np.unique(values[:, 0, 6:], axis=0)) > 3


def test_the_command_writes_the_same(labels, tmp_path, capsys):
    assert main(["labelled", "--people", "2", "--size", "16", "-o", str(tmp_path / "set")]) == 0
    assert (tmp_path / "set" / "000009.png").read_bytes() == (labels.parent / "000009.png").read_bytes()
    assert main(["labelled", "--people", "0", "-o", str(tmp_path / "none")]) == 1
    assert "expected at least one person, got 0" in capsys.readouterr().err


def test_nobody():
    with pytest.raises(InputError, match="expected at least one person, got -1"):
        write_labelled(None, people=-1)
