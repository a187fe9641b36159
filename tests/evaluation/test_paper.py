from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from flowxfer import images
from flowxfer.errors import ImageError, InputError
from flowxfer.evaluation.action_units import INTENSITIES, ActionUnits
from flowxfer.evaluation.cast import Cast, Skipped, usable
from flowxfer.evaluation.layout import Layout, strip
from flowxfer.evaluation.paper import run
from flowxfer.evaluation.tables import LikenessTable, UnitTable

ALPHAS = (0.3, 0.5)
SIZE = 32


class Brightness:
    """Stands for an embedder and for a meter; a black picture has no face."""

    scale = "brightness"

    def embed(self, pictures):
        levels = [float(picture.mean()) for picture in pictures]
        return np.array([[level or np.nan] for level in levels]).reshape(-1, 1)

    def measure(self, pictures, raw=None):
        faces = ActionUnits.not_measured(len(pictures))
        for index, path in enumerate(pictures):
            faces.intensities[index] = images.load(path)[:17, 0, 0] / 51
            if raw is not None:
                raw.mkdir(parents=True, exist_ok=True)
                (raw / f"{path.stem}.csv").write_text("measured")
        return faces


@pytest.fixture
def data(tmp_path):
    """Three people in the paper's layout: ann, bo and, whose pictures have no name, id3."""
    rng = np.random.default_rng(0)
    names = [f"id1_aligned/ann{n}_aligned" for n in (1, 2)] + [f"id2_aligned/bo{n}_aligned copy" for n in (1, 2)]
    names += [f"id3_aligned/0{n}" for n in (1, 2)] + [f"expressions/id3_expression{n}" for n in (1, 2, 10)]
    for name in names:
        picture = rng.integers(60, 200, (SIZE, SIZE, 3), dtype=np.uint8)
        images.save(picture, tmp_path / "people/data" / f"{name}.png")
    return tmp_path / "people"


@pytest.fixture
def cast(data):
    return Cast.read(data)


def files(folder):
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_people_are_called_as_their_pictures_and_expressions_counted(cast, data):
    assert [person.name for person in (*cast.targets, cast.source)] == ["ann", "bo", "id3"]
    assert {number: path.stem for number, path in cast.expressions.items()} == {
        1: "id3_expression1",
        2: "id3_expression2",
        3: "id3_expression10",
    }
    chosen = Cast.read(data / "data", source="bo", expressions=["id3_expression10"])
    assert (chosen.source.name, list(chosen.expressions)) == ("bo", [1])


def test_people_whose_pictures_share_a_name_are_called_after_their_folders(tmp_path):
    for name in ("id10_aligned/IMG_1", "id10_aligned/IMG_2", "id9_aligned/IMG_1", "expressions/smile"):
        images.save(np.zeros((SIZE, SIZE, 3), np.uint8), tmp_path / f"{name}.png")
    cast = Cast.read(tmp_path)
    assert [person.name for person in (*cast.targets, cast.source)] == ["id9", "id10"]


def test_what_is_written_lies_where_the_paper_has_it(tiny_transferer, cast, tmp_path):
    out = tmp_path / "out"
    assert run(tiny_transferer, cast, out, alphas=ALPHAS, embedder=Brightness(), meter=Brightness()) == []
    expected = {"run.json", "evaluation/likeness.csv", "evaluation/action_units.csv", "evaluation/scores.csv"}
    expected |= {f"results/means/{name}_mean.png" for name in ("ann", "bo", "id3")}
    expected |= {f"evaluation/quality/AUs_{name}.csv" for name in ("reference", *(f"expression{k}" for k in (1, 2, 3)))}
    for k, n in ((1, 1), (2, 2), (3, 10)):
        expected |= {f"evaluation/likeliness/expression{k}.csv"}
        expected |= {f"results/transferring/expression{k}/id3_expression{n}.png"}
        for name in ("ann", "bo"):
            folder = f"results/transferring/expression{k}"
            expected |= {f"{folder}/{name}.png", f"{folder}/{name}/{name}_source/id3_mean.png"}
            expected |= {f"{folder}/{name}/{name}_target/{name}_mean.png"}
            expected |= {f"{folder}/{name}/{alpha}/{name}_{alpha}.png" for alpha in (0.3, 0.5)}
            raw = f"evaluation/quality/raw_data/processed_expression{k}"
            expected |= {f"{raw}/{name}_{alpha}.csv" for alpha in (0.3, 0.5, "mean")}
    assert set(files(out)) == expected


def test_pictures_and_tables_are_those_of_the_equation(tiny_transferer, cast, tmp_path):
    run(tiny_transferer, cast, tmp_path / "out", alphas=ALPHAS, embedder=Brightness(), meter=Brightness())
    layout, flow = Layout(tmp_path / "out"), tiny_transferer
    target, neutral = flow.mean(list(cast.targets[1].pictures)), flow.mean(list(cast.source.pictures))
    direction = flow.encode(cast.expressions[3]) - neutral
    made = np.concatenate([flow.decode(target + alpha * direction) for alpha in ALPHAS])
    for alpha, picture in zip(ALPHAS, made, strict=True):
        np.testing.assert_array_equal(images.load(layout.picture(3, "bo", alpha)), picture)
    np.testing.assert_array_equal(images.load(layout.strip(3, "bo")), strip(made))
    means = [flow.decode(latents)[0].mean() for latents in (target, neutral)]
    table = LikenessTable.read(layout.likeliness(3))
    row = table.people.index("bo")
    np.testing.assert_allclose(table.to_target[row], np.abs(made.mean((1, 2, 3)) - means[0]))
    np.testing.assert_allclose(table.to_source[row], np.abs(made.mean((1, 2, 3)) - means[1]))
    units = UnitTable.read(layout.units("expression3"))
    assert units.names == ("ann_0.3", "ann_0.5", "ann_mean", "bo_0.3", "bo_0.5", "bo_mean")
    np.testing.assert_allclose(units["bo_0.5"], made[1, :17, 0, 0] / 51, atol=0.006)


def test_tidy_tables_have_a_row_for_each_observation(tiny_transferer, cast, tmp_path):
    run(tiny_transferer, cast, tmp_path, alphas=ALPHAS, embedder=Brightness(), meter=Brightness())
    names = ("likeness", "scores", "action_units")
    tables = {name: list(csv.DictReader(Layout(tmp_path).tidy(name).read_text().splitlines())) for name in names}
    assert len(tables["likeness"]) == 3 * 2 * 2
    assert tables["likeness"][0].keys() >= {"expression", "name", "person", "alpha", "to_source", "to_target"}
    assert len(tables["scores"]) == 3 * 2 * 3
    assert len(tables["action_units"]) == 3 * 2 * 3 * len(INTENSITIES)
    assert {row["alpha"] for row in tables["action_units"]} == {"0.0", "0.3", "0.5"}


def test_a_run_goes_on_where_it_broke_off(tiny_transferer, cast, tmp_path):
    run(tiny_transferer, cast, tmp_path, alphas=ALPHAS)
    before, layout = files(tmp_path), Layout(tmp_path)
    layout.strip(2, "ann").unlink()
    run(tiny_transferer, cast, tmp_path, alphas=ALPHAS, embedder=Brightness())
    after = files(tmp_path)
    again = {name for name, when in after.items() if before.get(name) != when and name.startswith("results")}
    assert all("expression2/ann" in name or name.endswith(("1.png", "2.png", "10.png")) for name in again)
    assert "results/transferring/expression2/ann.png" in again
    assert "results/transferring/expression1/ann/0.3/ann_0.3.png" not in again
    assert set(after) - set(before) >= {"evaluation/likeness.csv", "evaluation/likeliness/expression1.csv"}


def test_what_is_measured_is_not_measured_again(tiny_transferer, cast, tmp_path):
    run(tiny_transferer, cast, tmp_path, alphas=ALPHAS, embedder=Brightness(), meter=Brightness())
    before = files(tmp_path)
    run(tiny_transferer, cast, tmp_path, alphas=ALPHAS, embedder=Brightness(), meter=Brightness())
    again = {name for name, when in files(tmp_path).items() if before[name] != when}
    assert not {name for name in again if "likeliness" in name or "quality" in name or "/0." in name}


def test_unusable_pictures_are_reported_and_left_out(tiny_transferer, cast, tmp_path):
    cast.targets[0].pictures[0].write_bytes(b"no picture")
    Image.new("RGB", (SIZE, SIZE)).save(cast.targets[1].pictures[1])
    Image.new("RGB", (SIZE, 2 * SIZE)).save(cast.expressions[1])
    out, told = tmp_path / "out", []
    skipped = run(
        tiny_transferer, cast, out, alphas=ALPHAS, embedder=Brightness(), progress=lambda *step: told.append(step)
    )
    assert [type(picture) for picture in skipped] == [Skipped] * 3
    reasons = [picture.reason for picture in skipped]
    assert "something else or a damaged file" in reasons[0]
    assert reasons[1] == "no face found by brightness"
    assert "expected a square face" in reasons[2]
    assert not (out / "results/transferring/expression1").exists()
    assert (out / "results/transferring/expression2/ann.png").exists()
    assert len(Layout(out).tidy("skipped").read_text().splitlines()) == 4
    expected = tiny_transferer.decode(tiny_transferer.mean(cast.targets[0].pictures[1]))[0]
    np.testing.assert_array_equal(images.load(Layout(out).mean("ann")), expected)
    assert ("mean faces", 0, 3) in told
    assert ("likeness", 1, 2) in told


def test_a_mended_picture_brings_its_person_back(tiny_transferer, cast, tmp_path):
    pictures = {path: path.read_bytes() for path in cast.targets[0].pictures}
    for path in pictures:
        path.write_bytes(b"")
    assert len(run(tiny_transferer, cast, tmp_path, alphas=ALPHAS, embedder=Brightness(), meter=Brightness())) == 2
    for path, content in pictures.items():
        path.write_bytes(content)
    assert run(tiny_transferer, cast, tmp_path, alphas=ALPHAS, embedder=Brightness(), meter=Brightness()) == []
    layout = Layout(tmp_path)
    assert LikenessTable.read(layout.likeliness(1)).people == ("ann", "bo")
    assert "ann_0.5" in UnitTable.read(layout.units("expression1")).names
    assert not layout.tidy("skipped").exists()


def test_versions_are_noted_but_may_change(tiny_transferer, cast, tmp_path, monkeypatch):
    run(tiny_transferer, cast, tmp_path, alphas=ALPHAS)
    before = json.loads((tmp_path / "run.json").read_text())["made with"]
    assert before["NumPy"] == np.__version__
    assert before["model"].startswith("tiny, 32 px")
    monkeypatch.setattr("flowxfer.evaluation.paper.__version__", "9")
    run(tiny_transferer, cast, tmp_path, alphas=ALPHAS)
    assert json.loads((tmp_path / "run.json").read_text())["made with"] == {**before, "flowxfer": "9"}


def test_a_person_without_usable_pictures_is_left_out_but_not_the_source(tiny_transferer, cast, tmp_path):
    for path in cast.targets[0].pictures:
        path.write_bytes(b"")
    run(tiny_transferer, cast, tmp_path / "out", alphas=ALPHAS, embedder=Brightness())
    assert LikenessTable.read(Layout(tmp_path / "out").likeliness(1)).people == ("bo",)
    for path in cast.source.pictures:
        path.write_bytes(b"")
    with pytest.raises(InputError, match="expected pictures of the source, id3, but none of them can be used"):
        run(tiny_transferer, cast, tmp_path / "other", alphas=ALPHAS)


def test_another_run_is_not_overwritten(tiny_transferer, cast, tmp_path):
    run(tiny_transferer, cast, tmp_path, alphas=ALPHAS, embedder=Brightness())
    with pytest.raises(InputError, match="expected .* to hold this run, but its alphas differ; choose another"):
        run(tiny_transferer, cast, tmp_path, alphas=(0.1,))
    other = Brightness()
    other.scale = "darkness"
    with pytest.raises(InputError, match="its likeness differ"):
        run(tiny_transferer, cast, tmp_path, alphas=ALPHAS, embedder=other)
    run(tiny_transferer, cast, tmp_path, alphas=ALPHAS)
    assert json.loads((tmp_path / "run.json").read_text())["likeness"] == "brightness"
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match="expected what an earlier run wrote in .*run.json"):
        run(tiny_transferer, cast, tmp_path, alphas=ALPHAS)


def test_faceless_pictures_pass_where_nobody_looks(tmp_path):
    images.save(np.zeros((SIZE, SIZE, 3), np.uint8), tmp_path / "black.png")
    assert len(usable([tmp_path / "black.png"], SIZE)[0]) == 1
    assert len(usable([tmp_path / "black.png"], SIZE, Brightness())[0]) == 0


def test_strips_are_those_of_the_paper(seed_folder):
    layout = Layout(seed_folder / "seed_images")
    folder = seed_folder / "seed_images/transferring/expression1"
    alphas = [round(0.3 + 0.02 * step, 2) for step in range(11)]
    pictures = np.stack([images.load(folder / f"zac/{alpha}/zac_{alpha}.png") for alpha in alphas])
    np.testing.assert_array_equal(strip(pictures), images.load(folder / "zac.png"))
    assert layout.picture(1, "zac", 0.3).name == "zac_0.3.png"


def test_incomplete_casts_are_refused(data, tmp_path):
    with pytest.raises(InputError, match="with cy among them in .*, got ann, bo, id3"):
        Cast.read(data, source="cy")
    with pytest.raises(InputError, match="with the source among them in .*, got none"):
        Cast.read(tmp_path / "nowhere")
    with pytest.raises(InputError, match="expected expressions among id3_expression1, .*, got smile"):
        Cast.read(data, expressions=["smile"])
    for path in (data / "data/expressions").iterdir():
        path.unlink()
    with pytest.raises(ImageError, match="expected pictures .* but there are none"):
        Cast.read(data)
