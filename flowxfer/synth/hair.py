"""Hair as shells of strands over the scalp, and as curtains that fall from it.

Both are triangles whose vertices carry strand coordinates; `raster.rasterise_strands` draws them only where noise says
that a strand grows, which gives ragged hairlines and silhouettes instead of a helmet. Hair is laid out on the template
head and fitted to each person's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flowxfer.synth.head import SKIN, Head
from flowxfer.synth.head_cache import load_head
from flowxfer.synth.noise import noise3
from flowxfer.synth.people import Person
from flowxfer.synth.raster import vertex_normals

__all__ = ["Hair", "grow_hair"]

_CENTRE = np.array([0.0, 7.5, 0.55])  # of the template's skull
_RADII = np.array([0.77, 0.97, 0.94])
_HAIRLINE = 8.0  # height of its middle on the template, dm
_LAYERS = 8


class _Style(NamedTuple):
    top: float  # height over the crown, dm
    side: float  # height over the temples, dm
    comb: str  # across | back | down | none
    strands: float  # per dm
    lumps: float = 0.15  # unevenness of the height
    line: float = 0.0  # hairline above the average, dm
    length: float = 0.0  # the curtain ends this far below the eyes' height, dm; 0 for no curtain
    wave: float = 0.0
    curl: float = 0.0  # how far a strand wanders, in strands
    bun: bool = False


_STYLES = {
    "buzz": _Style(0.035, 0.025, "none", 60),
    "short": _Style(0.11, 0.05, "none", 34, 0.35),
    "swept": _Style(0.20, 0.06, "back", 30, 0.25),
    "parted": _Style(0.15, 0.07, "across", 32, 0.2),
    "curly": _Style(0.26, 0.17, "none", 18, 0.4, curl=2.5),
    "afro": _Style(0.48, 0.42, "none", 24, 0.2, curl=3.0),
    "fringe": _Style(0.11, 0.10, "down", 28, 0.15, -0.30),
    "bob": _Style(0.10, 0.10, "across", 30, 0.1, 0.0, 0.95),
    "long": _Style(0.09, 0.09, "across", 30, 0.1, 0.0, 2.2),
    "wavy": _Style(0.13, 0.13, "across", 24, 0.25, 0.0, 2.0, 0.05),
    "bun": _Style(0.05, 0.04, "back", 34, 0.05, bun=True),
}


@dataclass(frozen=True)
class Hair:
    """Strand triangles for one person; h vertices.

    Attributes:
        roots: (h,) int32, the head's vertex that each one follows.
        offsets: (h, 3) float64, from the root, dm.
        triangles: (u, 3) int32.
        strands: (h, 4) float64, see `raster.rasterise_strands`.
        normals, tangents: (h, 3) float64 at rest; the tangent runs along the strands.
        casts: (v, 3) int32, the triangles that throw a shadow.
    """

    roots: np.ndarray
    offsets: np.ndarray
    triangles: np.ndarray
    strands: np.ndarray
    normals: np.ndarray
    tangents: np.ndarray
    casts: np.ndarray


def grow_hair(person: Person) -> Hair:
    """Grow a person's hair; a bald head gets none."""
    head = load_head()
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([person.seed, 1])))
    parts = []
    if person.hair_style in _STYLES:
        style = _STYLES[person.hair_style]
        style = style._replace(
            top=style.top * rng.uniform(0.75, 1.3),
            side=style.side * rng.uniform(0.75, 1.3),
            line=style.line + rng.uniform(-0.1, 0.05) + 0.06 * (person.sex == "male") * person.look.wrinkles,
            length=style.length * rng.uniform(0.85, 1.15),
        )
        if style.comb == "across" and style.length and rng.random() < 0.3:
            style = style._replace(comb="down", line=style.line - 0.3)
        part = rng.choice([-1, 1]) * rng.uniform(0.0, 0.3)
        recede = (0.30 + 0.25 * rng.random()) * (1.0 if person.sex == "male" else 0.6)
        parts.append(_shell(head, person, style, part, recede))
        fit = _Fit(head, person)
        if style.length:
            parts += [_curtain(fit, style, layer, rng.uniform(0.95, 1.25)) for layer in range(3)]
        if style.bun:
            parts.append(_bun(fit, rng.uniform(0.26, 0.36)))
    return _join(parts)


def _join(parts: list[Hair]) -> Hair:
    """Concatenate pieces, renumbering their triangles."""
    if not parts:
        zero, none = np.zeros((0, 3)), np.zeros((0, 3), np.int32)
        return Hair(np.zeros(0, np.int32), zero, none, np.zeros((0, 4)), zero, zero, none)
    starts = np.cumsum([0] + [len(p.roots) for p in parts[:-1]])
    return Hair(
        roots=np.concatenate([p.roots for p in parts]),
        offsets=np.concatenate([p.offsets for p in parts]),
        triangles=np.concatenate([p.triangles + s for p, s in zip(parts, starts, strict=True)]).astype(np.int32),
        strands=np.concatenate([p.strands for p in parts]),
        normals=np.concatenate([p.normals for p in parts]),
        tangents=np.concatenate([p.tangents for p in parts]),
        casts=np.concatenate([p.casts + s for p, s in zip(parts, starts, strict=True)]).astype(np.int32),
    )


def _step(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def hairline(head: Head, line: float, recede: float) -> np.ndarray:
    """How far inside the hairline each vertex of the template lies, (n,), dm; negative outside."""
    x, y, z = head.template.T
    front = y - (_HAIRLINE + line - recede * np.clip((np.abs(x) - 0.28) / 0.45, 0, 1) ** 1.5)
    side = np.minimum(0.86 - z + 0.25 * (y - 7.4), y - np.where(z > 0.45, 7.0, 6.5))
    inside = np.maximum(front, side)
    inside[(head.masks[:, 3] > 0.3) | (y < 6.4)] = -1.0
    return np.asarray(np.clip(inside, -1.0, 0.5))


def _shell(head: Head, person: Person, style: _Style, part: float, recede: float) -> Hair:
    """Layers over the scalp, each a little further out, that the strands pierce."""
    inside = hairline(head, style.line, recede)
    skin = head.triangles[head.materials == SKIN]
    skin = skin[(inside[skin] > -0.12).all(1) & (inside[skin] > 0).any(1)]
    used, local = np.unique(skin, return_inverse=True)
    local = local.reshape(-1, 3)
    normals = np.empty_like(person.rest)
    vertex_normals(person.rest, head.triangles, normals)
    points, inside = head.template[used], inside[used]
    upward = _step(-0.1, 0.75, normals[used, 1])
    height = style.side + (style.top - style.side) * upward
    seed, grain = person.look.seed, 2.2 if style.comb != "none" else 4.5
    bumps = (_noise(grain * points, seed) + 0.5 * _noise(2.3 * grain * points, seed)) / 1.5
    height *= (1 + style.lumps * 2 * (bumps - 0.5)) * (0.25 + 0.75 * _step(-0.05, 0.3, inside))
    across, along, tangent = _comb(style, points, normals[used], part)
    flow = 0.0 if style.comb == "none" else 0.5
    levels = (np.arange(_LAYERS) + 0.15) / (_LAYERS - 0.85)
    offsets = [(0.012 + h * height)[:, None] * (normals[used] + flow * h * tangent) for h in levels]
    curl = style.curl * np.stack([np.cos(6 * bumps[:, None] + 5 * levels), np.sin(6 * bumps[:, None] + 5 * levels)])
    curl *= levels
    strands = [np.stack([across + a, along + b, np.full(len(used), h), inside / 0.20 + 0.1], axis=1)
               for h, a, b in zip(levels, *np.moveaxis(curl, 2, 1), strict=True)]  # fmt: skip
    count = len(levels)
    layers = [local + k * len(used) for k in reversed(range(count))]
    return Hair(
        roots=np.tile(used, count).astype(np.int32),
        offsets=np.concatenate(offsets),
        triangles=np.concatenate(layers),
        strands=np.concatenate(strands),
        normals=np.tile(normals[used], (count, 1)),
        tangents=np.tile(tangent, (count, 1)),
        casts=local[(inside[local] > 0.03).all(1)] + (count // 2) * len(used),
    )


def _noise(points: np.ndarray, seed: int) -> np.ndarray:
    return np.array([noise3(x, y, z, seed) for x, y, z in points])


def _comb(
    style: _Style, points: np.ndarray, normals: np.ndarray, part: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Strand coordinates across and along, and the direction of the strands, at points of the template."""
    x, y, z = points.T
    azimuth = np.arctan2(x, z - 0.3)
    if style.comb == "across":
        across, along = z * style.strands, 1.5 * np.arctan2(np.abs(x - part), y - 7.3)
        flow = np.stack([np.sign(x - part), -0.8 + 0 * x, -0.25 + 0 * x], axis=1)
    elif style.comb == "back":
        across, along = 0.9 * np.arctan2(x, y - 7.2) * style.strands, 1.5 * z
        flow = np.stack([0.2 * x, 0.5 + 0 * x, -1 + 0 * x], axis=1)
    elif style.comb == "down":
        across, along = 0.9 * azimuth * style.strands, 1.2 * y
        flow = np.stack([0.3 * x, -1 + 0 * x, 0 * x], axis=1)
    else:
        across, along = 0.8 * azimuth * style.strands, y * style.strands * 0.8
        flow = np.stack([0.3 * x, -0.3 + 0 * x, 0.6 + 0 * x], axis=1)
    flow -= (flow * normals).sum(1, keepdims=True) * normals
    return across, along, flow / (np.linalg.norm(flow, axis=1, keepdims=True) + 1e-9)


class _Fit:
    """Carries points laid out around the template's skull to a person's, axis by axis."""

    def __init__(self, head: Head, person: Person) -> None:
        scalp = hairline(head, 0.0, 0.2) > 0
        self.crown = int(np.flatnonzero(scalp)[np.argmax(head.template[scalp, 1])])
        self.before = head.template[scalp].mean(0)
        self.after = person.rest[scalp].mean(0)
        self.stretch = person.rest[scalp].std(0) / head.template[scalp].std(0)
        self.anchor = person.rest[self.crown]

    def grid(self, points: np.ndarray, strands: np.ndarray, casts: bool) -> Hair:
        """Make a sheet from a grid: points (a, b, 3) on the template, the second axis along the strands."""
        rows, columns = points.shape[:2]
        placed = (points - self.before) * self.stretch + self.after
        tangents = np.gradient(placed, axis=1)
        tangents /= np.linalg.norm(tangents, axis=2, keepdims=True) + 1e-9
        normals = np.cross(tangents, np.gradient(placed, axis=0))
        normals /= np.linalg.norm(normals, axis=2, keepdims=True) + 1e-9
        outward = ((placed - ((_CENTRE - self.before) * self.stretch + self.after)) * normals).sum(2, keepdims=True)
        normals = np.where(outward < 0, -normals, normals)
        index = np.arange(rows * columns).reshape(rows, columns)
        quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], axis=-1).reshape(-1, 4)
        triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
        return Hair(
            roots=np.full(rows * columns, self.crown, np.int32),
            offsets=(placed - self.anchor).reshape(-1, 3),
            triangles=triangles,
            strands=strands.reshape(-1, 4),
            normals=normals.reshape(-1, 3),
            tangents=tangents.reshape(-1, 3),
            casts=triangles if casts else triangles[:0],
        )


def _curtain(fit: _Fit, style: _Style, layer: int, front: float) -> Hair:
    """Long hair: down the skull from the crown, then straight; open in front up to the angle ``front``, radians."""
    volume = max(style.side, 0.09) * (1.0 - 0.35 * layer)
    angle = np.linspace(front, 2 * np.pi - front, 72)[:, None]
    along = np.linspace(0, 1, 40)[None, :]
    bend = np.clip(along / 0.4, 0, 1) * np.pi / 2
    fall = np.clip((along - 0.4) / 0.6, 0, 1) * (style.length + 0.22)
    swing = style.wave * np.sin(9 * fall + 5 * angle) * np.clip(fall / 0.3, 0, 1)
    narrow = 1 - 0.10 * np.sin(np.clip(fall / max(style.length, 1.2), 0, 1) * np.pi) * (style.length < 1.4)
    radii = _RADII + volume
    radius = np.sin(bend) * narrow + swing
    x = radii[0] * radius * np.sin(angle + swing)
    z = radii[2] * radius * np.cos(angle + swing) + 0.0 * along
    y = radii[1] * np.cos(bend) - fall + 0.03 * np.sin(7 * angle) * along + 0.0 * angle
    points = np.stack([x, y, z], axis=-1) + _CENTRE
    edge = np.minimum(angle - front, 2 * np.pi - front - angle) + 0.0 * along
    strands = np.stack(
        [
            (angle + 0.3 * swing) * style.strands + 977.0 * layer + 0.0 * along,
            2.0 * along + 0.0 * angle,
            0.9 * _step(0.82, 1.0, along) + 0.0 * angle,
            edge / 0.12 + 0.1,
        ],
        axis=-1,
    )
    return fit.grid(points, strands, casts=layer == 1)


def _bun(fit: _Fit, radius: float) -> Hair:
    """Make a knot of hair on the back of the crown."""
    turn = np.linspace(0, 2 * np.pi, 28)[:, None]
    tilt = np.linspace(0.02, np.pi - 0.02, 16)[None, :]
    points = np.stack(
        [radius * np.sin(tilt) * np.sin(turn), radius * np.cos(tilt) + 0 * turn, radius * np.sin(tilt) * np.cos(turn)],
        axis=-1,
    ) + np.array([0.0, 8.42 + 0.4 * radius, 0.25])
    strands = np.stack(
        [8 * turn + 3 * tilt, 1.5 * tilt + 0 * turn, 0.3 + 0 * (turn + tilt), 2.0 + 0 * (turn + tilt)], axis=-1
    )
    return fit.grid(points, strands, casts=True)
