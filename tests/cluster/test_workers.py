"""A folder of films on several devices: who does what, and what a worker's end costs. No device is needed for it."""

from __future__ import annotations

import ctypes
import functools
import multiprocessing
import os
import pickle
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest

from flowxfer import Transferer
from flowxfer.cluster import process_folder
from flowxfer.cluster.workers import devices_of
from flowxfer.errors import InputError
from flowxfer.video import Options
from tests.video.beacons import HEIGHT, WIDTH, Beacons, crop, picture, walk
from tests.video.films import make_film, stored_planes

LOSSLESS = {"codec": "ffv1", "pixel_format": "yuv444p", "size": (HEIGHT, WIDTH)}
FACES = {"expression": crop(picture(40, shade=30)), "neutral": crop(picture(40, shade=-20)), "alpha": 0.5}


class Meeting(Beacons):
    """A detector that waits until workers on so many devices are there."""

    def __init__(self, folder, count):
        self.folder, self.count = folder, count

    def detect(self, image):
        (self.folder / os.environ["CUDA_VISIBLE_DEVICES"]).touch()
        begun = time.monotonic()
        while len(list(self.folder.iterdir())) < self.count:
            assert time.monotonic() - begun < 60, "the other workers never came"
            time.sleep(0.01)
        return super().detect(image)


class Deadly(Beacons):
    """A detector that dark pictures kill its process."""

    def detect(self, image):
        if image.mean() < 50:
            os._exit(9)
        return super().detect(image)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("a.mkv", "c.mkv", "d.mkv"):
        make_film(folder / name, pictures=walk(4, shade=ord(name[0]) - 97), frames=4, **LOSSLESS)
    return folder


def test_workers_on_two_devices_do_what_one_does(folder, tmp_path, tiny_transferer):
    (folder / "b.mp4").write_bytes(b"not a film")
    (tmp_path / "seen").mkdir()
    begun, told = [], []
    do = functools.partial(process_folder, folder, transferer=tiny_transferer, starting=begun.append, **FACES)
    options = Options(codec="ffv1", detector=Meeting(tmp_path / "seen", 2), progress=told.append, log="any")
    outcome = do(tmp_path / "out", devices=["3", "GPU-8f1c"], options=options)
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["3", "GPU-8f1c"]
    assert sorted(path.name for path in begun) == ["a.mkv", "b.mp4", "c.mkv", "d.mkv"]
    assert [report.output.name for report in outcome.reports] == ["a.mkv", "c.mkv", "d.mkv"]
    assert sorted(now.done for now in told) == sorted([1, 2, 3, 4] * 3)
    assert list(outcome.failures) == [folder / "b.mp4"]
    assert "expected a film in" in str(outcome.failures[folder / "b.mp4"])
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    do(tmp_path / "alone", options=Options(codec="ffv1", detector=Beacons()))
    for report in outcome.reports:
        pairs = zip(stored_planes(report.output), stored_planes(tmp_path / "alone" / report.output.name), strict=True)
        assert all(np.array_equal(*each) for pair in pairs for each in zip(*pair, strict=True))


def test_a_worker_that_dies_costs_its_film_only(folder, tmp_path, tiny_transferer):
    make_film(folder / "b.mkv", pictures=[picture(40) // 4] * 3, frames=3, **LOSSLESS)
    options = Options(codec="ffv1", detector=Deadly())
    outcome = process_folder(
        folder, tmp_path / "out", devices=["0", "1"], transferer=tiny_transferer, options=options, **FACES
    )
    assert [report.output.name for report in outcome.reports] == ["a.mkv", "c.mkv", "d.mkv"]
    (error,) = outcome.failures.values()
    assert "its worker on CUDA device" in str(error)
    assert "was lost; is there enough memory? resume goes on with it" in str(error)


def test_ctrl_c_ends_all_workers(folder, tmp_path, tiny_transferer):
    options = Options(codec="ffv1", detector=Beacons(), progress=lambda now: _interrupt())
    with pytest.raises(KeyboardInterrupt):
        process_folder(
            folder, tmp_path / "out", devices=["0", "1"], transferer=tiny_transferer, options=options, **FACES
        )
    assert multiprocessing.active_children() == []
    options = Options(codec="ffv1", detector=Beacons(), resume=True)
    process_folder(folder, tmp_path / "out", transferer=tiny_transferer, options=options, **FACES)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.mkv", "c.mkv", "d.mkv"]


def _interrupt():
    raise KeyboardInterrupt


def test_a_model_that_workers_cannot_load_fails_every_film(folder, tmp_path, tiny_bundle):
    gone = shutil.copytree(tiny_bundle, tmp_path / "gone")
    flow = Transferer(gone)
    shutil.rmtree(gone)
    options = Options(detector=Beacons())
    outcome = process_folder(folder, tmp_path / "out", devices=["0", "1"], transferer=flow, options=options, **FACES)
    assert outcome.reports == []
    assert len(outcome.failures) == 3
    assert all("gone" in str(error) for error in outcome.failures.values())


def test_what_another_process_cannot_be_given(folder, tmp_path, tiny_transferer):
    detector = Beacons()
    detector.detect = lambda image: []
    with pytest.raises(InputError, match=r"expected a detector, .* that other processes can be given, .*set CUDA_VIS"):
        process_folder(
            folder,
            tmp_path / "out",
            devices=["0", "1"],
            transferer=tiny_transferer,
            options=Options(detector=detector),
            **FACES,
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("providers", "count", "environment", "names"),
    [
        (["CPUExecutionProvider"], 2, {}, []),
        (["CUDAExecutionProvider", "CPUExecutionProvider"], 2, {}, ["0", "1"]),
        (["TensorrtExecutionProvider", "CUDAExecutionProvider"], 1, {}, ["0"]),
        (["CUDAExecutionProvider"], 2, {"CUDA_VISIBLE_DEVICES": "3, GPU-8f1c"}, ["3", "GPU-8f1c"]),
        (["CUDAExecutionProvider"], 1, {"CUDA_VISIBLE_DEVICES": "2,-1,5"}, ["2"]),
        (["CUDAExecutionProvider"], 0, {"CUDA_VISIBLE_DEVICES": ""}, []),
    ],
)
def test_devices_are_those_that_are_visible(monkeypatch, providers, count, environment, names):
    def get_count(reference):
        reference._obj.value = count
        return 0

    driver = SimpleNamespace(cuInit=lambda flags: 0, cuDeviceGetCount=get_count)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert devices_of(SimpleNamespace(providers=tuple(providers)), environment) == names


def test_without_a_driver_there_is_no_device(monkeypatch):
    def absent(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert devices_of(SimpleNamespace(providers=("CUDAExecutionProvider",)), {}) == []


def test_a_pickled_transferer_is_loaded_anew(tiny_bundle, tiny_transferer):
    again = pickle.loads(pickle.dumps(tiny_transferer))
    assert again is not tiny_transferer
    assert again.numerics == tiny_transferer.numerics
    face = picture(40, height=32, width=32)
    assert np.array_equal(again.transfer(face, **FACES), tiny_transferer.transfer(face, **FACES))
    few = Transferer(tiny_bundle, batch_size=3)
    assert pickle.loads(pickle.dumps(few)).batch_size == 3
