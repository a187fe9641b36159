from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from flowxfer.cli import evaluation
from flowxfer.cli.running import Commands
from flowxfer.evaluation.tables import UnitTable

FACES = Path(str(resources.files("flowxfer") / "data" / "faces"))


@pytest.fixture
def invoke(tiny_bundle):
    app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)
    app.command()(evaluation.paper)
    app.command()(evaluation.report)
    app.command()(evaluation.fidelity)

    def run(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments), "--model", str(tiny_bundle)])

    run.without_model = lambda *arguments: CliRunner().invoke(app, [*map(str, arguments)])
    return run


def test_paper_runs_on_the_demo_people(invoke, tmp_path):
    result = invoke("paper", "-o", tmp_path / "out", "-e", "smile", "--alphas", "0.30,0.5")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "out")
    assert (tmp_path / "out/results/transferring/expression1/id1/0.3/id1_0.3.png").is_file()
    assert (tmp_path / "out/results/transferring/expression1/id4.png").is_file()


def test_report_shows_what_paper_has_written(invoke, tmp_path):
    out = tmp_path / "out"
    assert invoke("paper", "-o", out, "-e", "smile", "--alphas", "0.5").exit_code == 0
    result = invoke.without_model("report", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(out / "report.html")
    assert "id4’s mean face, then with smile at alpha 0.5" in (out / "report.html").read_text()
    assert "--force replaces it" in invoke.without_model("report", out).stderr
    assert invoke.without_model("report", out, "-o", tmp_path / "page.html").exit_code == 0
    assert invoke.without_model("report", out, "--force").exit_code == 0
    assert "`flowxfer paper -o FOLDER` makes one" in invoke.without_model("report", tmp_path).stderr


def test_paper_names_what_it_skips(invoke, tmp_path):
    for name in ("id1_aligned/a1", "id1_aligned/a2", "id2_aligned/b1", "expressions/smile"):
        target = tmp_path / "data" / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((FACES / "truth/id1/smile.png").read_bytes())
    (tmp_path / "data/id1_aligned/a1.png").write_bytes(b"")
    result = invoke("paper", tmp_path, "-o", tmp_path / "out", "--alphas", "0.5")
    assert result.exit_code == 0
    assert "a1.png: expected a picture" in result.stderr


def test_fidelity_writes_a_row_for_each_transfer(invoke, tmp_path):
    result = invoke("fidelity", "-o", tmp_path / "fidelity.csv", "--alphas", "1")
    assert result.exit_code == 0, result.stderr
    with open(tmp_path / "fidelity.csv") as file:
        assert len(list(csv.DictReader(file))) == 3 * 10 * 4
    header, *rows, path = result.stdout.splitlines()
    assert header.split()[:3] == ["method", "alpha", "mouth"]
    assert [row.split()[0] for row in rows] == ["equation", "pixels", "none"]
    assert path.endswith("fidelity.csv")
    assert "--force replaces it" in invoke("fidelity", "-o", tmp_path / "fidelity.csv").stderr


def test_fidelity_of_pairs_writes_figures_observations_and_sheets(invoke, tmp_path):
    result = invoke("fidelity", "--pairs", FACES / "truth", "-o", tmp_path / "pairs.csv", "--alphas", "1")
    assert result.exit_code == 0, result.stderr
    with open(tmp_path / "pairs.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["figure"] for row in rows} == {"mouth", "eyes", "brows", "changed", "whole", "outside"}
    assert {row["method"] for row in rows} == {"plain", "pixels", "plain mean", "pixels mean", "none", "truth"}
    assert len({row["expression"] for row in rows}) == 10
    assert not [row for row in rows if (row["expression"], row["figure"]) == ("closed", "mouth")]  # nobody's moves
    with open(tmp_path / "pairs_transfers.csv") as file:
        wholes = [row for row in csv.DictReader(file) if row["figure"] == "whole"]
    assert len(wholes) == 10 * 5 * (2 * 4 + 2 + 2)
    sheets = sorted(tmp_path.glob("*.png"))
    assert len(sheets) == 10
    assert all(b"compositeWithTrainedAlgorithmicMedia" in sheet.read_bytes() for sheet in sheets)
    assert "smile" in result.stdout
    assert result.stdout.splitlines()[-1] == str(tmp_path / "pairs.csv")
    assert "--force replaces it" in invoke("fidelity", "--pairs", FACES / "truth", "-o", tmp_path / "pairs.csv").stderr
    (tmp_path / "pairs.csv").unlink()
    again = invoke("fidelity", "--pairs", FACES / "truth", "-o", tmp_path / "pairs.csv")
    assert "pairs_transfers.csv exists already; --force replaces it" in again.stderr


def test_fidelity_of_photographs_names_what_it_leaves_out(invoke, tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    (folder / "a.png").write_bytes((FACES / "truth/id1/neutral.png").read_bytes())
    Image.new("RGB", (40, 30)).save(folder / "wide.png")
    result = invoke("fidelity", "--photographs", folder, "-o", tmp_path / "f.csv", "--alphas", "1", "--no-mark")
    assert result.exit_code == 0, result.stderr
    assert "wide.png: expected a square face, got 40x30 pixels" in result.stderr
    assert "asks for a machine-readable mark" in result.stderr
    assert b"TrainedAlgorithmicMedia" not in (tmp_path / "f_smile.png").read_bytes()
    (folder / "a.png").unlink()
    result = invoke("fidelity", "--photographs", folder, "-o", tmp_path / "g.csv")
    assert result.exit_code == 2
    assert "but none of its pictures can be used: expected a square face" in result.stderr
    assert not list(tmp_path.glob("g*"))
    result = invoke("fidelity", FACES, "--photographs", folder, "-o", tmp_path / "g.csv")
    assert "expected a folder of synthetic people, or --pairs and --photographs, got" in result.stderr
    result = invoke("fidelity", "--performers", 2, "-o", tmp_path / "g.csv")
    assert "expected --pairs or --photographs with --performers, got neither" in result.stderr


def test_blendshapes_judge_the_papers_experiment(invoke, tmp_path):
    pytest.importorskip("ai_edge_litert")
    result = invoke("paper", "-o", tmp_path, "-e", "smile", "--alphas", "0.5", "--action-units", "blendshapes")
    assert result.exit_code == 0, result.stderr
    table = UnitTable.read(tmp_path / "evaluation/quality/AUs_reference.csv")
    assert table["smile"][table.units.index("mouthSmileLeft")] > 0.5
    assert len(table.units) == 51
    raw = tmp_path / "evaluation/quality/raw_data/processed_expression1/id1_0.5.csv"
    with open(raw) as file:
        assert set(next(csv.DictReader(file))) == set(table.units)
    assert invoke.without_model("report", tmp_path).exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert "Intensities of 51 facial action units, measured by Blendshapes" in page
    assert "mouthSmileLeft" in page
    assert "plots show the 17 that" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "w.pt"], "expected --likeness vggface2 or casia-webface with --weights, got none"),
        (["--openface", "."], "expected --action-units openface with --openface, got none"),
        (["--action-units", "openface", "--openface", "."], "expected OpenFace's FaceLandmarkImg in ."),
        (["--expression", "grin"], "got grin"),
    ],
)
def test_what_does_not_go_together_is_refused(invoke, tmp_path, arguments, message):
    result = invoke("paper", "-o", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
