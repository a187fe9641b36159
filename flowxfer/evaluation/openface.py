"""Measuring action units with what the user has installed: OpenFace, or pyfaceau, its translation to Python.

Neither comes with flowxfer, and nothing is downloaded: OpenFace's models are for academic and other use that is not
commercial (https://github.com/TadasBaltrusaitis/OpenFace), pyfaceau runs on the same models.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowxfer import images
from flowxfer.errors import InputError
from flowxfer.evaluation.action_units import ActionUnits, read_openface

__all__ = ["OpenFace", "PyFaceAU"]

VARIABLE = "OPENFACE"
# The 711 columns of the published files; without a flag OpenFace also writes aligned faces and HOG features.
_COLUMNS = ("-2Dfp", "-3Dfp", "-pdmparams", "-pose", "-aus", "-gaze")


class OpenFace:
    """An installed OpenFace 2.

    Args:
        folder: where ``FaceLandmarkImg`` and ``FeatureExtraction`` are, such as ``OpenFace/build/bin``. By default
            the environment variable OPENFACE names it, else they are looked for in PATH.

    Raises:
        InputError: ``FaceLandmarkImg`` is not there.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._folder = folder or os.environ.get(VARIABLE) or None
        self._program("FaceLandmarkImg")

    def measure(self, pictures: Sequence[Path], raw: Path | None = None) -> ActionUnits:
        """Measure the most certain face of each picture, with FaceLandmarkImg's static models.

        Args:
            pictures: N files whose names differ.
            raw: a folder to keep OpenFace's files, ``{name}.csv`` for each picture.

        Returns:
            N faces; a picture without a face is "not measured".

        Raises:
            InputError: two pictures share their name, or OpenFace fails.
            ImageError: a picture cannot be read.
        """
        with _copies(pictures) as copies, _kept(raw) as results:
            if copies:
                self._run("FaceLandmarkImg", "-fdir", str(copies[0].parent), results)
            return ActionUnits.concatenate([_best(results / f"{copy.stem}.csv") for copy in copies])

    def measure_film(self, film: Path) -> ActionUnits:
        """Measure every frame of a film, with FeatureExtraction, which calibrates itself to the person.

        Raises:
            InputError: OpenFace fails.
        """
        with _kept(None) as results:
            self._run("FeatureExtraction", "-f", str(film), results)
            return read_openface(results / f"{film.stem}.csv")

    def _run(self, name: str, *arguments: str | Path) -> None:
        *inputs, results = map(str, arguments)
        command = [self._program(name), *inputs, "-out_dir", results, *_COLUMNS]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
            raise InputError(f"expected {name} to run through, but it ended with status {done.returncode}: {said}")

    def _program(self, name: str) -> str:
        program = shutil.which(name, path=None if self._folder is None else os.fspath(self._folder))
        if program is None:
            where = self._folder or "PATH"
            raise InputError(
                f"expected OpenFace's {name} in {where}, but it is not there; "
                f"install OpenFace 2 and let {VARIABLE} name the folder of its programs"
            )
        return program


class PyFaceAU:
    """An installed pyfaceau with the models that its user has fetched; it measures intensities, no presences.

    Raises:
        InputError: pyfaceau or its models are not there.
    """

    def __init__(self) -> None:
        try:
            from pyfaceau import FullPythonAUPipeline
            from pyfaceau.models import models_ready
        except ImportError:
            raise InputError(
                "expected pyfaceau, but it is not installed; its licence (CC BY-NC 4.0) and that of its models are not "
                "flowxfer's, so no extra brings it: pip install pyfaceau"
            ) from None
        # Asked for first, because pyfaceau downloads them where OPENFACE_MODELS_ACCEPT_LICENSE is set.
        if not models_ready():
            raise InputError(
                "expected pyfaceau's models, but they are not there; pyfaceau-download-models shows their academic "
                "licence and fetches them"
            )
        # FaceLandmarkImg's way with single pictures: every one on its own, without a person's median.
        self._pipeline: Any = FullPythonAUPipeline(force_au_model_type="static", track_faces=False, verbose=False)

    def measure(self, pictures: Sequence[Path], raw: Path | None = None) -> ActionUnits:
        """Measure each picture as a film of one frame; as :meth:`OpenFace.measure`."""
        with _copies(pictures) as copies, _kept(raw) as results:
            for copy in copies:
                self._pipeline.process_video(str(copy), str(results / f"{copy.stem}.csv"))
            return ActionUnits.concatenate([_best(results / f"{copy.stem}.csv") for copy in copies])


def _best(path: Path) -> ActionUnits:
    # OpenFace writes no file, or an empty one, where it finds no face.
    return read_openface(path).best() if path.exists() else ActionUnits.not_measured()


@contextmanager
def _copies(pictures: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield PNG copies in one folder: upright, of any format, and named so that OpenFace's files keep the names."""
    names = [Path(path).stem for path in pictures]
    if len(set(names)) < len(names):
        raise InputError("expected pictures whose names differ, for OpenFace's files are named after them")
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder, f"{name}.png") for name in names]
        for picture, copy in zip(pictures, copies, strict=True):
            images.save(images.load(picture), copy)
        yield copies


@contextmanager
def _kept(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
