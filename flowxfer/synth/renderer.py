"""Person, expression, camera, light and background to an RGB picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flowxfer.errors import InputError, ShapeError
from flowxfer.synth.expressions import ACTIONS, NEUTRAL
from flowxfer.synth.hair import Hair, grow_hair
from flowxfer.synth.head import LASHES, TEETH, TONGUE
from flowxfer.synth.head_cache import load_head
from flowxfer.synth.people import Person
from flowxfer.synth.projection import SHADOW_SIZE, Window, eye_centre, projection, rotation, to_shadow_map, turn
from flowxfer.synth.raster import FAR, deform, depth_map, rasterise, rasterise_strands, vertex_normals
from flowxfer.synth.scene import Backdrop, Camera, Light
from flowxfer.synth.shading import develop, shade

__all__ = ["Sitter", "render", "render_frame"]

Picture = NDArray[np.uint8]
Vectors = NDArray[np.float64]

_SAMPLES = 3  # per pixel and axis


@dataclass(frozen=True)
class Sitter:
    """A person made ready for their pictures: the hair is grown once."""

    person: Person
    hair: Hair

    @classmethod
    def of(cls, person: Person) -> Sitter:
        """Grow the person's hair."""
        return cls(person, grow_hair(person))


def render(
    sitter: Sitter | Person,
    expression: Vectors = NEUTRAL,
    camera: Camera = Camera(),  # noqa: B008 - a tuple cannot be changed
    *,
    light: Light,
    background: Backdrop,
    size: int = 64,
) -> Picture:
    """Take an aligned picture: the resting eyes fall on `projection.EYES`, shifted as the camera says.

    The arithmetic is float64 without fastmath on one thread: the same machine gives the same bytes. Code compiled for
    another CPU, or another libm, may move single values by a grey level or two.

    Args:
        sitter: who; a `Sitter` saves growing the hair again for every picture.
        expression: (52,) weights, see `expressions`.
        camera: how the head is turned and framed.
        light: on the head.
        background: behind it.
        size: width and height, a multiple of 8 from 16 to 1024.

    Returns:
        RGB, shape (size, size, 3), uint8.

    Raises:
        ShapeError: an expression that is not (52,).
        InputError: a size that cannot be rendered.
    """
    wall = background
    return render_frame(
        sitter, expression, camera, light=light, background=wall, width=size, height=size, window=Window(0.0, 0.0, size)
    )


def render_frame(
    sitter: Sitter | Person,
    expression: Vectors,
    camera: Camera,
    *,
    light: Light,
    background: Backdrop,
    width: int,
    height: int,
    window: Window,
) -> Picture:
    """Take a picture of any format, in which an aligned picture would fill ``window``.

    Args:
        sitter: as in `render`, like the next four.
        expression: (52,).
        camera: how the head is turned and framed in the window.
        light: on the head.
        background: behind it.
        width: of the picture, a multiple of 8 from 16 to 1024.
        height: likewise.
        window: in pixels; it may reach beyond the picture.

    Returns:
        RGB, shape (height, width, 3), uint8.

    Raises:
        ShapeError: an expression that is not (52,).
        InputError: a size that cannot be rendered.
    """
    if np.shape(expression) != (len(ACTIONS),):
        raise ShapeError(
            f"expected an expression of shape ({len(ACTIONS)},), got {np.shape(expression)}; "
            "expression() and blend() make one"
        )
    for size in (width, height):
        if size % 8 or not 16 <= size <= 1024:
            raise InputError(f"expected a size that is a multiple of 8 from 16 to 1024, got {size}")
    sitter = sitter if isinstance(sitter, Sitter) else Sitter.of(sitter)
    frame = background.paint(height * _SAMPLES, width * _SAMPLES)
    fine = Window(*(_SAMPLES * value for value in window))
    _draw(frame, sitter, np.asarray(expression, dtype=np.float64), camera, light, fine)
    picture = np.empty((height, width, 3), np.uint8)
    develop(frame, _SAMPLES, picture)
    return picture


class _Scratch:
    """Buffers that one frame size needs, kept between pictures."""

    def __init__(self, height: int, width: int) -> None:
        vertices = len(load_head().template)
        self.zbuffer = np.empty((height, width))
        self.index = np.empty((height, width), np.int32)
        self.weights = np.empty((height, width, 2))
        self.shadow = np.empty((SHADOW_SIZE, SHADOW_SIZE))
        self.moved = np.empty((vertices, 3))
        self.normals = np.empty((vertices, 3))
        self.place = np.empty(20)


@lru_cache(maxsize=4)
def _scratch(height: int, width: int) -> _Scratch:
    return _Scratch(height, width)


def _draw(frame: Vectors, sitter: Sitter, expression: Vectors, camera: Camera, light: Light, window: Window) -> None:
    """Light the head and its hair over the background that ``frame`` (h, w, 3) holds."""
    head, person, hair = load_head(), sitter.person, sitter.hair
    scratch = _scratch(*frame.shape[:2])
    deform(person.rest, head.actions, expression, person.scale, scratch.moved)
    vertex_normals(scratch.moved, head.triangles, scratch.normals)
    matrix, centre = rotation(camera), eye_centre(person)
    surface = turn(scratch.moved - centre, matrix)
    strands = turn(scratch.moved[hair.roots] + hair.offsets - centre, matrix)
    surface_shadow, strands_shadow = (to_shadow_map(points, light) for points in (surface, strands))
    scratch.shadow[:] = FAR
    depth_map(surface_shadow, head.triangles[: _first_lash()], scratch.shadow)
    depth_map(strands_shadow, hair.casts, scratch.shadow)
    project = projection(person, camera, window)
    _rasterise(scratch, project(surface), project(strands), sitter)
    sky = np.clip(head.occlusion + _weigh(expression, head.occlusion_actions), 0.02, 1.0)
    columns = (head.template, turn(scratch.normals, matrix), surface_shadow, head.masks, sky[:, None])
    fibres = (turn(hair.normals, matrix), turn(hair.tangents, matrix), strands_shadow, hair.strands)
    shade(
        frame,
        scratch.index,
        scratch.weights,
        (head.triangles, head.materials, np.concatenate(columns, axis=1)),
        (hair.triangles, np.concatenate(fibres, axis=1)),
        scratch.place,
        scratch.shadow,
        person.look,
        _folds(expression),
        light,
    )


def _rasterise(scratch: _Scratch, surface: Vectors, strands: Vectors, sitter: Sitter) -> None:
    """Find the triangle in front of every pixel: solid ones, then lashes, then hair."""
    hair, look, triangles, first = sitter.hair, sitter.person.look, load_head().triangles, _first_lash()
    buffers = scratch.zbuffer, scratch.index, scratch.weights
    scratch.zbuffer[:], scratch.index[:] = FAR, -1
    rasterise(surface, triangles[:first], _two_sided(), *buffers)
    rasterise_strands(surface, triangles[first:], _lash_strands(look.lashes), look.seed, first, *buffers)
    rasterise_strands(strands, hair.triangles, hair.strands, look.seed, len(triangles), *buffers)


@lru_cache(maxsize=1)
def _two_sided() -> NDArray[np.bool_]:
    """Which triangles show their back: (t,)."""
    return np.isin(load_head().materials, (TEETH, TONGUE))


@lru_cache(maxsize=1)
def _first_lash() -> int:
    """Find the first lash; the lashes are the last triangles of the head."""
    return int(np.flatnonzero(load_head().materials == LASHES)[0])


@lru_cache(maxsize=8)
def _lash_strands(density: float) -> Vectors:
    """Strand coordinates (n, 4) of the lashes: they thin out towards the tips, and the lower ones are sparse."""
    x, y, z = load_head().template.T
    upper = y > 7.276
    out = np.sqrt((np.abs(x) - 0.308) ** 2 + (y - 7.284) ** 2 + (z - 1.245) ** 2) - 0.150  # from the rim of the lid
    height = np.clip(out / 0.05, 0, 1) * 0.8 + np.where(upper, 0.5 - 0.45 * density, 0.75)
    return np.stack([x * 150.0, 0 * x + 3 * upper, height, 0 * x + 2.0], axis=1)


def _weigh(weights: Vectors, rows: NDArray[np.float32]) -> Vectors:
    """``weights @ rows`` without BLAS, whose rounding depends on the CPU."""
    total = np.zeros(rows.shape[1])
    for k in np.flatnonzero(weights):
        total += weights[k] * rows[k]
    return total


_FOLDS = (
    ("browDownLeft", "browDownRight"),
    ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    ("mouthSmileLeft", "mouthDimpleLeft"),
    ("mouthSmileRight", "mouthDimpleRight"),
    ("eyeSquintLeft", "cheekSquintLeft"),
    ("eyeSquintRight", "cheekSquintRight"),
    ("noseSneerLeft", "noseSneerRight"),
)


def _folds(expression: Vectors) -> Vectors:
    """How strongly each group of `skin._lines` folds the skin, (7,) in [0, 1]."""
    return np.array(
        [min(1.0, sum(float(expression[ACTIONS.index(n)]) for n in names) / len(names)) for names in _FOLDS]
    )
