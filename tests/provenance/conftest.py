from __future__ import annotations

import pytest

from flowxfer.provenance import make_test_certificate


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """A test certificate and its key, as files."""
    pytest.importorskip("c2pa")
    folder = tmp_path_factory.mktemp("certificates")
    make_test_certificate(folder / "chain.pem", folder / "key.pem")
    return folder / "chain.pem", folder / "key.pem"
