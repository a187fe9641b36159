"""The folder of what is kept, and whether the network may be asked for more."""

from __future__ import annotations

import pytest

from flowxfer.models.cache import offline


@pytest.mark.parametrize("value", ["1", "true", "yes", "no"])
def test_any_value_forbids_the_network(monkeypatch, value):
    monkeypatch.setenv("FLOWXFER_OFFLINE", value)
    assert offline()


@pytest.mark.parametrize("value", ["", "0"])
def test_none_and_zero_allow_it(monkeypatch, value):
    monkeypatch.setenv("FLOWXFER_OFFLINE", value)
    assert not offline()
    monkeypatch.delenv("FLOWXFER_OFFLINE")
    assert not offline()
