from __future__ import annotations

import pytest

from flowxfer.errors import MissingExtraError
from flowxfer.faces import DlibDetector


@pytest.fixture(scope="session")
def dlib_detector():
    try:
        return DlibDetector()
    except MissingExtraError as error:
        pytest.skip(str(error))
