from __future__ import annotations

import stat
import sys

import numpy as np
import pytest

from flowxfer import images
from flowxfer.errors import InputError, ShapeError
from flowxfer.evaluation.action_units import INTENSITIES, PRESENCES, ActionUnits, read_openface, score
from flowxfer.evaluation.openface import OpenFace, PyFaceAU
from flowxfer.evaluation.tables import UnitTable

PEOPLE = ("emma", "obama", "taylor", "zac")  # the paper's targets
HEADER = ", ".join(["face", "confidence", *(f"{unit}_r" for unit in INTENSITIES), *(f"{u}_c" for u in PRESENCES)])

# Stands for OpenFace: the brightness of a picture is its AU01; what is black has no face.
PROGRAM = f"""#!{sys.executable}
import sys, pathlib
from PIL import Image
arguments = sys.argv[1:]
results = pathlib.Path(arguments[arguments.index("-out_dir") + 1])
if "-f" in arguments:
    film = pathlib.Path(arguments[arguments.index("-f") + 1])
    if film.stem == "broken":
        sys.exit("cannot open the film")
    rows = ["frame, face_id, timestamp, confidence, success, {HEADER.partition("confidence, ")[2]}"]
    rows += ["1, 0, 0.0, 0.9, 1" + ", 1.00" * 17 + ", 1.0" * 18, "2, 0, 0.1, 0.2, 0" + ", 0.00" * 35]
    (results / (film.stem + ".csv")).write_text("\\n".join(rows))
else:
    for picture in sorted(pathlib.Path(arguments[arguments.index("-fdir") + 1]).iterdir()):
        level = Image.open(picture).getpixel((0, 0))[0]
        if level:
            row = ", ".join(["0", "0.9", str(level / 100)] + ["0.00"] * 16 + ["0.0"] * 18)
            (results / (picture.stem + ".csv")).write_text("{HEADER}\\n" + row + "\\n")
"""


@pytest.fixture
def openface(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("FaceLandmarkImg", "FeatureExtraction"):
        (folder / name).write_text(PROGRAM)
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("OPENFACE", str(folder))
    return folder


def pictures(folder, **levels):
    for name, level in levels.items():
        images.save(np.full((16, 16, 3), level, np.uint8), folder / f"{name}.png")
    return [folder / f"{name}.png" for name in levels]


def csv(path, *rows):
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def row(confidence, value):
    return ", ".join(["0", str(confidence), *[f"{value:.2f}"] * 17, *["1.0"] * 18])


def test_a_face_scores_perfectly_against_itself():
    face = np.random.default_rng(0).uniform(0, 5, 17)
    same = score(np.stack([face, face / 2 + 1]), face)
    np.testing.assert_allclose(same.correlation, 1)
    assert same.error[0] == 0
    np.testing.assert_allclose(same.per_unit[1], np.abs(1 - face / 2))


def test_the_correlation_is_pearsons():
    rng = np.random.default_rng(1)
    made, expression = rng.uniform(0, 5, (4, 17)), rng.uniform(0, 5, 17)
    expected = [np.corrcoef(face, expression)[0, 1] for face in made]
    np.testing.assert_allclose(score(made, expression).correlation, expected)
    np.testing.assert_allclose(score(made, expression).error, np.abs(made - expression).mean(1))


def test_what_was_not_measured_stays_so():
    faces = ActionUnits.concatenate([ActionUnits.not_measured(), ActionUnits.not_measured(2)])
    assert len(faces) == 3
    assert np.isnan(score(faces.intensities, np.ones(17)).correlation).all()
    assert np.isnan(score(faces.intensities, np.ones(17)).error).all()
    assert np.isnan(score(np.ones(17), np.arange(17.0)).correlation).all()  # a flat face correlates with nothing


def test_the_most_certain_face_is_taken(tmp_path):
    faces = read_openface(csv(tmp_path / "a.csv", row(0.4, 1), row(0.9, 2), row(0.5, 3)))
    assert len(faces) == 3
    assert faces.best().intensities.tolist() == [[2.0] * 17]
    assert faces.presences.shape == (3, 18)
    assert np.isnan(read_openface(csv(tmp_path / "b.csv")).best().intensities).all()
    (tmp_path / "c.csv").write_text("")
    assert len(read_openface(tmp_path / "c.csv")) == 0


def test_a_frame_without_success_is_not_measured(tmp_path):
    path = tmp_path / "film.csv"
    path.write_text("frame,timestamp,success\n0,0.0,False\n")  # pyfaceau's, of a film without a face
    assert np.isnan(read_openface(path).intensities).all()


def test_openface_measures_pictures_in_their_order(openface, tmp_path):
    raw = tmp_path / "raw"
    measured = OpenFace().measure(pictures(tmp_path, b=100, a=0, c=200), raw=raw)
    np.testing.assert_array_equal(measured.intensities[:, 0], [1, np.nan, 2])
    assert sorted(path.name for path in raw.iterdir()) == ["b.csv", "c.csv"]
    assert len(OpenFace(openface).measure([])) == 0


def test_openface_measures_films(openface, tmp_path):
    film = OpenFace().measure_film(tmp_path / "film.mp4")
    np.testing.assert_array_equal(film.intensities[:, 3], [1, np.nan])
    with pytest.raises(InputError, match="FeatureExtraction to run through, but .* status 1: cannot open the film"):
        OpenFace().measure_film(tmp_path / "broken.mp4")


def test_published_files_of_openface_are_read(seed_folder):
    folder = seed_folder / "seed_tables/quality"
    table = UnitTable.read(folder / "AUs_expression1.csv")
    for name in ("emma_0.3", "emma_mean", "taylor_0.5"):
        face = read_openface(folder / "raw_data" / f"{name}.csv").best()
        np.testing.assert_array_equal(face.intensities[0], table[name])
        assert set(face.presences[0]) <= {0.0, 1.0}
    assert len(read_openface(folder / "raw_data/emma.csv")) == 11


def test_published_scores_come_out(seed_folder):
    """The first expression alone; with the paper's other four tables the 20 pairs give the published means."""
    folder = seed_folder / "seed_tables/quality"
    reference = UnitTable.read(folder / "AUs_reference.csv")["selena_expression1_aligned"]
    table = UnitTable.read(folder / "AUs_expression1.csv")
    scores = [score(np.stack([table[f"{who}_{a}"] for who in PEOPLE]), reference) for a in ("mean", 0.3, 0.4, 0.5)]
    assert [round(s.correlation.mean(), 3) for s in scores] == [0.509, 0.508, 0.540, 0.514]
    assert [round(s.error.mean(), 3) for s in scores] == [0.315, 0.294, 0.309, 0.340]


def test_published_means_come_out(seed_folder):
    folder = seed_folder / "seed_tables/quality"
    paths = [folder / f"AUs_expression{number}.csv" for number in range(1, 6)]
    if not all(path.exists() for path in paths):
        pytest.skip("FLOWXFER_SEED has not all of the paper's five tables of action units")
    references = UnitTable.read(folder / "AUs_reference.csv").intensities
    pairs = [(UnitTable.read(path), reference) for path, reference in zip(paths, references, strict=True)]
    correlations, errors = [], []
    for alpha in ("mean", "0.3", "0.4", "0.5"):
        made = [table[f"{who}_{alpha}"] for table, _ in pairs for who in PEOPLE]
        scores = score(np.stack(made), np.stack([reference for _, reference in pairs for _ in PEOPLE]))
        correlations.append(round(scores.correlation.mean(), 3))
        errors.append(round(scores.error.mean(), 3))
    assert correlations == [0.616, 0.655, 0.686, 0.663]
    assert errors == [0.370, 0.359, 0.358, 0.369]


def test_unusable_files_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(InputError, match="expected OpenFace's CSV at .*a.csv, but it cannot be read"):
        read_openface(path)
    path.write_text("face, AU01_r\n0, 1.0\n")
    with pytest.raises(InputError, match="expected the columns AU01_r to AU45_r in .*, got none of AU02_r, AU04_r"):
        read_openface(path)
    with pytest.raises(InputError, match="expected numbers in .*a.csv, got something else or a row cut short"):
        read_openface(csv(path, "0, 0.9, 1.0"))
    with pytest.raises(InputError, match="expected numbers in"):
        read_openface(csv(path, row(0.9, 1).replace("1.00", "x")))
    with pytest.raises(
        ShapeError, match=r"expected the same units .* got shapes \(1, 16\) and \(1, 17\); use one meter"
    ):
        score(np.zeros(16), np.zeros(17))
    with pytest.raises(ShapeError, match="expected the same units of each face"):
        score(np.zeros((2, 17)), np.zeros((3, 17)))


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="FaceLandmarkImg in .*nowhere, but it is not there.*let OPENFACE name"):
        OpenFace(tmp_path / "nowhere")
    monkeypatch.delenv("OPENFACE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="FaceLandmarkImg in PATH"):
        OpenFace()
    monkeypatch.setitem(sys.modules, "pyfaceau", None)
    with pytest.raises(InputError, match="expected pyfaceau, but it is not installed.*pip install pyfaceau"):
        PyFaceAU()


def test_pyfaceau_needs_its_models_and_measures_each_picture_apart(tmp_path, monkeypatch):
    package, models = type(sys)("pyfaceau"), type(sys)("pyfaceau.models")

    class Pipeline:
        def __init__(self, *, force_au_model_type, track_faces, verbose):
            assert (force_au_model_type, track_faces, verbose) == ("static", False, False)

        def process_video(self, picture, path):
            level = int(images.load(picture)[0, 0, 0])
            units = ",".join(f"{unit}_r" for unit in INTENSITIES) if level else ""
            values = ",".join([str(level / 100)] * 17) if level else ""
            with open(path, "w") as file:
                file.write(f"frame,timestamp,success,{units}\n0,0.0,{bool(level)},{values}\n")

    package.FullPythonAUPipeline = Pipeline
    monkeypatch.setitem(sys.modules, "pyfaceau", package)
    monkeypatch.setitem(sys.modules, "pyfaceau.models", models)
    models.models_ready = lambda: False
    with pytest.raises(InputError, match="expected pyfaceau's models, but they are not there"):
        PyFaceAU()
    models.models_ready = lambda: True
    measured = PyFaceAU().measure(pictures(tmp_path, a=100, b=0))
    np.testing.assert_array_equal(measured.intensities[:, 0], [1, np.nan])
    assert np.isnan(measured.presences).all()


def test_pictures_of_one_name_are_refused(openface, tmp_path):
    paths = [*pictures(tmp_path / "x", a=1), *pictures(tmp_path / "y", a=2)]
    with pytest.raises(InputError, match="expected pictures whose names differ"):
        OpenFace().measure(paths)
