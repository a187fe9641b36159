"""dlib and its networks, where they are installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flowxfer.errors import MissingExtraError, unimportable

__all__ = ["RECOGNITION", "dlib_model", "import_dlib"]

RECOGNITION = "dlib_face_recognition_resnet_model_v1.dat"
"""dlib's network that tells faces apart; https://github.com/davisking/dlib-models, CC0."""


def import_dlib(purpose: str = "DlibDetector") -> Any:
    """The module ``dlib``.

    Args:
        purpose: what needs it, as the subject of a sentence.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module("dlib")
    except ImportError as error:
        raise unimportable(error, "dlib", "faces", purpose) from error


def dlib_model(name: str, purpose: str = "DlibDetector") -> str:
    """The file of one of dlib's models, as dlib takes it.

    Args:
        name: of the file.
        purpose: what needs it, as the subject of a sentence.

    Raises:
        MissingExtraError: the package that brings the models is not installed.
    """
    # Not imported, only found: its older releases import pkg_resources, which setuptools no longer has.
    package = find_spec("face_recognition_models")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError("face-recognition-models", "faces", purpose)
    return str(Path(package.submodule_search_locations[0]) / "models" / name)
