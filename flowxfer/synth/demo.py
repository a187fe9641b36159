"""The bundled demo set, in the layout of the paper's pictures, with the true answers that the paper could not have.

- ``expressions/<name>.png``: id5 performing, the source;
- ``id<1..5>_aligned/<nn>.png``: mostly neutral pictures, whose mean in latent space is the neutral face;
- ``truth/id<1..5>/neutral.png``: the neutral face in the same camera and light as
- ``truth/id<1..5>/<name>.png``: the face with that expression, which a perfect transfer would give;
- ``truth/parameters.json``: seeds, attributes and the exact actions.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from PIL import Image

from flowxfer.files import replacing
from flowxfer.synth.dataset import Progress, Shoot
from flowxfer.synth.expressions import ACTIONS, NAMED, expression, gaze
from flowxfer.synth.scene import Light

__all__ = ["DEMO_EXPRESSIONS", "DEMO_PEOPLE", "write_demo"]

DEMO_PEOPLE = (81, 85, 64, 61, 62)  # seeds of id1 to id5; see dataset.DEMO_SEEDS
DEMO_EXPRESSIONS = tuple(name for name in NAMED if name != "fear")
_PICTURES = 12  # of each person; even, because they come in opposite pairs
_SIZE = 256
_JITTER = 0.4  # the demo people look into the camera


def write_demo(folder: Path, *, progress: Progress | None = None) -> Path:
    """Render the demo set into ``folder``; files that are there already are replaced, one by one."""
    shoots = [Shoot.sample(seed, jitter=_JITTER) for seed in DEMO_PEOPLE]
    jobs: list[tuple[str, Shoot, np.ndarray]] = []
    for i, shoot in enumerate(shoots, start=1):
        jobs += [(f"id{i}_aligned/{k:02d}.png", *job) for k, job in enumerate(_portraits(shoot, DEMO_PEOPLE[i - 1]), 1)]
        jobs += [(f"truth/id{i}/{name}.png", shoot, expression(name)) for name in ("neutral", *DEMO_EXPRESSIONS)]
    jobs += [(f"expressions/{name}.png", shoots[-1], expression(name)) for name in DEMO_EXPRESSIONS]
    start = time.perf_counter()
    for done, (name, shoot, vector) in enumerate(jobs, start=1):
        with replacing(folder / name) as temporary:
            Image.fromarray(shoot.picture(vector, size=_SIZE)).save(temporary, optimize=True)
        if progress:
            progress(done, len(jobs), done / (time.perf_counter() - start))
    with replacing(folder / "truth" / "parameters.json") as temporary:
        temporary.write_text(json.dumps(_parameters(shoots), indent=1) + "\n")
    return folder


def _portraits(shoot: Shoot, seed: int) -> list[tuple[Shoot, np.ndarray]]:
    """Pictures around the neutral face: gaze and pose in opposite pairs, faint expressions, a light that wanders."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 4])))
    portraits = []
    for _ in range(_PICTURES // 2):
        look, turn, sway = rng.normal(0, 0.14, 2), rng.normal(0, (0.045, 0.025, 0.008)), rng.normal(0, 0.06)
        for sign in (1.0, -1.0):
            yaw, pitch, roll = (float(x) for x in sign * turn)
            camera = shoot.camera
            camera = camera._replace(yaw=camera.yaw + yaw, pitch=camera.pitch + pitch, roll=camera.roll + roll)
            name = list(NAMED)[rng.integers(len(NAMED))]
            faint = expression(name, strength=float(rng.uniform(0.0, 0.10)))
            vector = np.clip(gaze(*np.clip(sign * look, -0.35, 0.35)) + faint, 0.0, 1.0)
            portraits.append((shoot._replace(camera=camera, light=_swung(shoot.light, sign * sway)), vector))
    return portraits


def _swung(light: Light, angle: float) -> Light:
    """Carry the key light around the vertical axis by ``angle`` radians."""
    x, y, z = light.key
    c, s = float(np.cos(angle)), float(np.sin(angle))
    return light._replace(key=(c * x + s * z, y, c * z - s * x))


def _parameters(shoots: list[Shoot]) -> dict[str, object]:
    people = {}
    for i, shoot in enumerate(shoots, start=1):
        person = shoot.sitter.person
        people[f"id{i}"] = {
            "seed": person.seed,
            "sex": person.sex,
            "age_years": round(person.age_years),
            "skin_tone": person.skin_tone(),
            "hair": f"{person.hair_style}, {person.hair_colour}",
            "camera": {key: round(value, 5) for key, value in shoot.camera._asdict().items()},
        }
    actions = {
        name: {ACTIONS[k]: round(float(expression(name)[k]), 4) for k in np.flatnonzero(expression(name))}
        for name in DEMO_EXPRESSIONS
    }
    return {"source": f"id{len(shoots)}", "people": people, "expressions": actions}
