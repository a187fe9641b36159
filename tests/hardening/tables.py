"""Text and tables: configurations, CSV, the description of a run, held-out pictures."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

from flowxfer.directions import read_labels
from flowxfer.evaluation.action_units import INTENSITIES, PRESENCES, read_openface
from flowxfer.evaluation.judging import LikenessRow
from flowxfer.evaluation.layout import Layout
from flowxfer.evaluation.report.reading import Run
from flowxfer.evaluation.tables import LikenessTable, UnitTable, read_tidy
from flowxfer.glow.training import TrainingConfig
from flowxfer.images.heldout import HeldOut
from flowxfer.models.download import fetch
from flowxfer.models.hub import MODELS, Model
from tests.hardening.law import Kind, file, tried
from tests.hardening.mutation import mutated, mutated_json

_TOML = b"""output = "run"
faces = "faces"
steps = 1000
learning_rate = 1e-3
ema = 0.998
flips = true
kind = "raw"

[model]
image_size = 64
levels = 3
depth = 8
width = 128
coupling = "additive"
"""
_OPENFACE = (
    f"frame, face_id, confidence, success, {', '.join(f'{unit}_r' for unit in INTENSITIES)}, "
    f"{', '.join(f'{unit}_c' for unit in PRESENCES)}\n"
    f"1, 0, 0.98, 1, {', '.join(['0.31'] * len(INTENSITIES))}, {', '.join(['1'] * len(PRESENCES))}\n"
    f"2, 0, 0.10, 0, {', '.join(['0'] * len(INTENSITIES))}, {', '.join(['0'] * len(PRESENCES))}\n"
).encode()
_LIKENESS = b"""output_images,0.3,0.4, source, target
ann_source,0.9,0.8,0.0,1.1
ann_target,0.2,0.3,1.1,0.0
bo_source,1.0,0.9,0.0,1.2
bo_target,0.1,0.2,1.2,0.0
"""
_UNITS = f"[filename, {', '.join(INTENSITIES)}]\n{['ann_0.3.csv', *[' 0.12'] * len(INTENSITIES)]}\n".encode()
_LABELS = b"2\nSmiling Male\n000001.jpg -1 1\n000002.jpg 1 -1\n", b"picture,Smiling,age\na.png,1,32.5\nb.png,0,64\n"
_TIDY = b"expression,name,person,alpha,to_source,to_target,of_means\n1,smile,ann,0.3,0.9,0.2,1.1\n2,joy,bo,0.4,,,1.2\n"


def labels(folder: Path) -> Callable:
    """Which picture has which attributes, in both layouts."""
    return file("labels", _LABELS, read_labels)(folder)


def configurations(folder: Path) -> Callable:
    """Training's TOML."""
    return file("run.toml", [_TOML], TrainingConfig.load)(folder)


def paper_tables(folder: Path) -> Callable:
    """The CSV files of the paper's repository, of OpenFace, and our own."""
    readers = {
        "likeness.csv": (_LIKENESS, LikenessTable.read),
        "units.csv": (_UNITS, UnitTable.read),
        "openface.csv": (_OPENFACE, read_openface),
        "tidy.csv": (_TIDY, lambda path: read_tidy(LikenessRow, path)),
    }
    for seed, read in readers.values():  # a seed that is refused would test the refusal alone
        (folder / "sound.csv").write_bytes(seed)
        read(folder / "sound.csv")
    seeds = [seed for seed, _ in readers.values()]

    def attempt(random: Random) -> None:
        name = random.choice(sorted(readers))
        seed, read = readers[name]
        (folder / name).write_bytes(mutated([seed, seed, seed, random.choice(seeds)], random))
        tried(read, folder / name)

    return attempt


def runs(folder: Path) -> Callable:
    """What `flowxfer paper` says of a run, as its report reads it."""
    path = Layout(folder).run
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = {
        "model": "ab" * 32,
        "source": "eve",
        "targets": ["ann", "bo"],
        "expressions": {"1": "smile", "2": "joy"},
        "alphas": [0.3, 0.4],
        "likeness": "dlib",
        "action units": None,
        "made with": {"numpy": "2.4.6"},
    }
    path.write_text(json.dumps(sound))
    Run.read(folder)

    def attempt(random: Random) -> None:
        text = json.dumps(sound).encode()
        path.write_bytes(mutated([text], random) if random.random() < 0.5 else mutated_json(sound, random))
        tried(Run.read, folder)

    return attempt


def held_out(folder: Path) -> Callable:
    """Held-out people: an array and a zip of arrays, either of which may be damaged."""
    array, zipped = io.BytesIO(), io.BytesIO()
    np.save(array, np.zeros((4, 3, 4, 4, 3), np.uint8))
    np.savez_compressed(zipped, names=np.array(["smile"]), strengths=np.array([0.5, 1.0]), seeds=np.arange(4))
    whole = {"people.npy": array.getvalue(), "people.npz": zipped.getvalue()}

    def attempt(random: Random) -> None:
        damaged = random.choice(sorted(whole))
        for name, data in whole.items():
            (folder / name).write_bytes(mutated([data], random) if name == damaged else data)
        tried(HeldOut.read, folder / "people.npy")

    return attempt


def remembered_hashes(folder: Path) -> Callable:
    """The cache's memory of a download's hash; no address answers, so nothing is fetched."""
    os.environ |= {"FLOWXFER_CACHE": str(folder), "FLOWXFER_OFFLINE": "1"}
    model = Model("m", "a model", "MIT", urls=("http://127.0.0.1:9/w.pb",))
    MODELS["m"] = model
    record = folder / "downloads" / "m" / "w.pb.json"
    record.parent.mkdir(parents=True)
    (folder / "downloads" / "m" / "w.pb").write_bytes(b"weights")
    sound = {"url": model.urls[0], "sha256": "ab" * 32}

    def attempt(random: Random) -> None:
        text = json.dumps(sound).encode()
        record.write_bytes(mutated([text], random) if random.random() < 0.5 else mutated_json(sound, random))
        tried(fetch, model)

    return attempt


KINDS = {
    "configurations": Kind(2000, configurations),
    "labels": Kind(600, labels),
    "paper-tables": Kind(2500, paper_tables),
    "runs": Kind(1000, runs),
    "held-out": Kind(800, held_out),
    "remembered-hashes": Kind(500, remembered_hashes),
}
