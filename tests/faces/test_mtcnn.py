from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from flowxfer.errors import FlowxferError, InputError, MissingExtraError
from flowxfer.faces import EYES, MtcnnDetector, mtcnn_detector
from tests.faces.photographs import SIDE, demo_face, photograph, placed


@pytest.fixture(scope="module")
def detector():
    """MTCNN, with torchvision's one compiled operator in plain torch where torchvision has no build for this torch."""
    missing = [name for name in ("facenet_pytorch", "torchvision") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed; pip install 'flowxfer[facenet]' brings it")
    with pytest.MonkeyPatch.context() as patch:
        library = define_operators(patch)
        yield MtcnnDetector()
        del library


def define_operators(patch):
    import torch

    try:
        import torchvision

        return None
    except RuntimeError:  # operator torchvision::nms does not exist
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", suppressed, "CPU")
    import torchvision.ops.boxes

    patch.setattr(torchvision.ops.boxes, "_assert_has_ops", lambda: None)
    return library


def suppressed(boxes, scores, threshold):
    import torch

    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    alive, kept = torch.ones(len(boxes), dtype=torch.bool), []
    for index in scores.argsort(descending=True).tolist():
        if alive[index]:
            kept.append(index)
            low, high = torch.maximum(boxes[index, :2], boxes[:, :2]), torch.minimum(boxes[index, 2:], boxes[:, 2:])
            shared = (high - low).clamp(min=0).prod(1)
            alive &= shared / (area[index] + area - shared) <= threshold
    return torch.tensor(kept, dtype=torch.long)


def misses(face, place):
    return place.inverse(face.eyes) - np.array(EYES) * SIDE


def test_demo_faces_come_back_as_they_were(detector):
    off = []
    for person in ("id1", "id2", "id3", "id4", "id5"):
        (face,) = detector.detect(np.asarray(demo_face(person)))
        off.append(misses(face, placed(128, 128, 256)))
    assert np.abs(np.mean(off, axis=0)).max() < 3
    assert np.hypot(*np.reshape(off, (-1, 2)).T).max() < 6


def test_several_faces_the_largest_first(detector):
    places = [placed(110, 150, 170), placed(360, 160, 260), placed(590, 150, 200, 8)]
    image = photograph(700, 320, *zip([demo_face(f"id{n}") for n in (1, 2, 3)], places, strict=True))
    faces = detector.detect(image)
    assert len(faces) == 3
    for face, place in zip(sorted(faces, key=lambda face: face.eyes[0, 0]), places, strict=True):
        assert np.hypot(*misses(face, place).T).max() < 8
        assert 0.9 <= face.score <= 1
    assert [face.area for face in faces] == sorted([face.area for face in faces], reverse=True)


def test_no_face(detector):
    assert detector.detect(photograph(160, 120)) == []
    for shape in [(1, 1, 3), (11, 300, 3), (12, 12, 3)]:
        assert detector.detect(np.zeros(shape, np.uint8)) == []


def test_a_threshold_leaves_unsure_faces_out(monkeypatch):
    class Networks:
        def __init__(self, **options):
            assert options == {"min_face_size": 40, "keep_all": True, "device": "cpu"}

        def detect(self, image, landmarks):
            boxes = np.array([[0, 0, 40, 50], [50, 0, 95, 55], [0, 0, 70, 70]], np.float32)
            points = boxes[:, None, :2] + np.array([[10, 10], [30, 10], [20, 20], [12, 30], [28, 30]], np.float32)
            return boxes, np.array([0.89, 0.91, 0.97], np.float32), points

    monkeypatch.setattr(mtcnn_detector, "import_module", lambda name: SimpleNamespace(MTCNN=Networks))
    large, small = MtcnnDetector().detect(np.zeros((80, 120, 3), np.uint8))
    assert (large.box, small.box) == ((0, 0, 70, 70), (50, 0, 95, 55))
    assert [large.score, small.score] == pytest.approx([0.97, 0.91])
    np.testing.assert_allclose(small.eyes - large.eyes, [(50, 0), (50, 0)])
    assert large.eyes.mean(0) == pytest.approx((20, 10), abs=0.5)


def test_arguments_out_of_range():
    with pytest.raises(InputError, match="smallest_px of at least 12, MTCNN's own smallest face, got 11"):
        MtcnnDetector(smallest_px=11)
    for threshold in (-0.1, 1):
        with pytest.raises(InputError, match=f"threshold from 0 to below 1, a probability, got {threshold}"):
            MtcnnDetector(threshold=threshold)


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "facenet_pytorch", None)
    with pytest.raises(MissingExtraError, match=r"MtcnnDetector needs facenet_pytorch, .*'flowxfer\[facenet\]'"):
        MtcnnDetector()


def test_a_torchvision_of_another_build(monkeypatch):
    def broken(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(mtcnn_detector, "import_module", broken)
    with pytest.raises(FlowxferError, match=r"built for the installed torch, .*nms does not exist; .* same index"):
        MtcnnDetector()
