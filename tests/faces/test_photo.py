from __future__ import annotations

import shlex

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from flowxfer import Latents, faces, images
from flowxfer.cli import photo as commands
from flowxfer.cli.running import Commands
from flowxfer.directions import Attributes
from flowxfer.errors import InputError
from flowxfer.faces import align, choose, paste_crop, transfer_photo
from flowxfer.provenance import read
from tests.faces.photographs import DEMO, Planted, demo_face, face_at, photograph, placed

LEFT, RIGHT = placed(70, 90, 100, 5), placed(220, 90, 150)
PHOTO = photograph(320, 180, (demo_face("id1"), LEFT), (demo_face("id2"), RIGHT))
BOTH = Planted(face_at(RIGHT), face_at(LEFT))
SMILE, NEUTRAL = (images.load(DEMO / "truth" / "id5" / f"{name}.png", 32) for name in ("smile", "neutral"))


def test_faces_are_chosen_by_size_side_and_number():
    right, left = align(PHOTO, BOTH, 32)
    assert choose([right, left], "all") == [right, left]
    assert choose([right, left], "largest") == choose([right, left], 1) == [right]
    assert choose([right, left], "leftmost") == choose([right, left], 0) == [left]


def test_faces_that_cannot_be_chosen():
    found = align(PHOTO, BOTH, 32)
    with pytest.raises(InputError, match=r"expected a face in the picture, found none; .*rotations=True"):
        choose([], "all")
    with pytest.raises(InputError, match="expected a face from 0 to 1, counted from the left, got 2"):
        choose(found, 2)
    with pytest.raises(InputError, match="leftmost, a number or a Reference to choose a face, got 'tallest'"):
        choose(found, "tallest")


@pytest.mark.parametrize("paste", [faces.paste_change, faces.paste_blend, faces.paste_crop])
def test_alpha_zero_gives_the_photograph_back(tiny_transferer, paste):
    result = transfer_photo(tiny_transferer, PHOTO, SMILE, NEUTRAL, 0, face="all", detector=BOTH, paste=paste)
    assert np.array_equal(result, PHOTO)


def test_only_the_chosen_face_changes(tiny_transferer):
    result = transfer_photo(tiny_transferer, PHOTO, SMILE, NEUTRAL, 0.5, face="leftmost", detector=BOTH)
    changed = (result != PHOTO).any(axis=(0, 2)).nonzero()[0]
    assert 70 - 60 < changed.min() < changed.max() < 70 + 60
    direction = tiny_transferer.direction(SMILE, NEUTRAL)
    moved = transfer_photo(tiny_transferer, PHOTO, alpha=0.5, direction=direction, face="leftmost", detector=BOTH)
    assert (moved == result).all()
    with pytest.raises(InputError, match="expected a direction, or an expression and a neutral: what is transferred"):
        transfer_photo(tiny_transferer, PHOTO, SMILE, direction=direction)
    both = transfer_photo(tiny_transferer, PHOTO, SMILE, NEUTRAL, 0.5, face="all", detector=BOTH)
    assert np.array_equal(both[:, :120], result[:, :120])
    assert (both[:, 145:] != PHOTO[:, 145:]).any()


def test_the_change_is_the_transferers(tiny_transferer):
    (aligned,) = align(PHOTO, Planted(face_at(LEFT)), 32)
    (decoded,) = tiny_transferer.transfer(aligned.crop, SMILE, NEUTRAL, 0.5)
    arguments = (tiny_transferer, PHOTO, SMILE, NEUTRAL, 0.5)
    result = transfer_photo(*arguments, detector=Planted(face_at(LEFT)), paste=paste_crop)
    assert np.array_equal(result, paste_crop(PHOTO, aligned, decoded))


runner = CliRunner()
app = typer.Typer(cls=Commands)
app.command()(commands.align)
app.command()(commands.photo)


@pytest.fixture
def folder(tmp_path, dlib_detector, monkeypatch):
    monkeypatch.setattr(commands, "find_by", lambda name: dlib_detector)
    images.save(PHOTO, tmp_path / "couple.png")
    images.save(PHOTO[:, 130:], tmp_path / "one.png")
    images.save(photograph(50, 40), tmp_path / "wall.png")
    images.save(SMILE, tmp_path / "smile.png")
    images.save(NEUTRAL, tmp_path / "neutral.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line, status=0):
    result = runner.invoke(app, shlex.split(line))
    assert result.exit_code == status, result.output
    return result


def test_align_writes_a_crop_for_each_face(folder):
    result = run("align couple.png one.png wall.png -o crops --size 64")
    assert sorted(path.name for path in (folder / "crops").iterdir()) == ["couple_0.png", "couple_1.png", "one.png"]
    assert result.stdout.split() == ["crops/couple_0.png", "crops/couple_1.png", "crops/one.png"]
    assert "wall.png: no face found" in result.stderr
    left = images.load(folder / "crops" / "couple_0.png").astype(float)
    assert np.abs(left - images.load(DEMO / "truth" / "id1" / "neutral.png", 64)).mean() < 15
    assert "exists already; --force replaces it" in run("align one.png -o crops", 2).stderr
    run("align one.png -o crops --force")
    run("align couple.png -o chosen --face leftmost --size 64")
    assert np.array_equal(images.load(folder / "chosen" / "couple.png"), left)


def test_align_without_any_face(folder):
    result = run("align wall.png -o crops", 2)
    assert "expected a face in at least one of 1 pictures, found none; --rotations may help" in result.stderr


def test_photo_changes_the_largest_face_only(folder, tiny_bundle):
    performance = f"-e smile.png -n neutral.png -m {tiny_bundle}"
    assert run(f"photo couple.png {performance} -a 0.5 -o result.png").stdout.split() == ["result.png"]
    changed = (images.load(folder / "result.png") != PHOTO).any(axis=(0, 2)).nonzero()[0]
    assert changed.min() > 120
    run(f"photo couple.png {performance} -a 0 --face all --paste crop -o same.png")
    assert np.array_equal(images.load(folder / "same.png"), PHOTO)
    assert "exists already" in run(f"photo couple.png {performance} -o result.png", 2).stderr
    assert "found none" in run(f"photo wall.png {performance} -o other.png", 2).stderr
    assert "got 'tallest'" in run(f"photo couple.png {performance} --face tallest -o other.png", 2).stderr
    assert not (folder / "other.png").exists()


def test_photo_with_an_attribute_in_place_of_an_expression(folder, tiny_bundle, tiny_transferer):
    vector = tiny_transferer.direction("smile.png", "neutral.png")
    Attributes(["Smiling"], Latents(vector.levels, vector.model_hash)).save("smiling.safetensors")
    attribute = f"--attributes smiling.safetensors -m {tiny_bundle} -o attribute.png"
    run(f"photo couple.png -e smile.png -n neutral.png -a 0.5 -m {tiny_bundle} -o expression.png")
    run(f"photo couple.png --attribute Smiling=0.5 {attribute}")
    assert np.array_equal(images.load("attribute.png"), images.load("expression.png"))
    assert read("attribute.png").alphas == (0.5,)
    run(f"photo couple.png --attribute Smiling=1 --alpha 0.5 --force {attribute}")
    assert np.array_equal(images.load("attribute.png"), images.load("expression.png"))
    assert read("attribute.png").alphas == (0.5,)


def test_photo_blends_by_default(folder, tiny_bundle, tiny_transferer, dlib_detector):
    run(f"photo couple.png -e smile.png -n neutral.png -a 0.5 -m {tiny_bundle} -o default.png")
    run(f"photo couple.png -e smile.png -n neutral.png -a 0.5 -m {tiny_bundle} -o blended.png --paste blend")
    run(f"photo couple.png -e smile.png -n neutral.png -a 0.5 -m {tiny_bundle} -o added.png --paste change")
    default = images.load("default.png")
    assert np.array_equal(default, images.load("blended.png"))
    assert not np.array_equal(default, images.load("added.png"))
    called = transfer_photo(tiny_transferer, PHOTO, SMILE, NEUTRAL, 0.5, detector=dlib_detector)
    assert np.array_equal(called, default)


def test_photo_needs_to_know_what_is_transferred(folder, tiny_bundle):
    for given in ("", "-e smile.png -n neutral.png --attribute Smiling=1"):
        result = run(f"photo couple.png {given} -m {tiny_bundle} -o out.png", 2)
        assert "expected --expression or --attribute, one of them: what is transferred?" in result.stderr
    result = run(f"photo couple.png --attribute Smiling=1 -n neutral.png -m {tiny_bundle} -o out.png", 2)
    assert "expected --attribute without --neutral: an attribute has no performer" in result.stderr
    result = run(f"photo couple.png -e smile.png -n neutral.png --attributes x -m {tiny_bundle} -o out.png", 2)
    assert "expected --attributes beside --attribute: a file of which nothing is taken" in result.stderr
    result = run(f"photo couple.png -e smile.png -m {tiny_bundle} -o out.png", 2)
    assert "expected --neutral beside --expression: the performer without it" in result.stderr
