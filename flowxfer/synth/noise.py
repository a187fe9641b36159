"""Value noise that is the same on every machine: integer hashing and polynomials, no tables and no libm."""

from __future__ import annotations

import math

from flowxfer.errors import unimportable

try:
    import numba
except ImportError as error:
    raise unimportable(error, "numba", "synth", "the renderer of the synthetic people") from error

__all__ = ["hash_unit", "kernel", "noise2", "noise3", "smoothstep"]

# Compiled for one thread and kept on disk; no fastmath, whose results depend on the CPU. numba notices a change in the
# file of a kernel but not in the kernels that it calls: touch shading.py after an edit in skin.py, and both and
# raster.py after one here.
kernel = numba.njit(cache=True, error_model="numpy")


@kernel
def smoothstep(low: float, high: float, x: float) -> float:
    """Hermite step: 0 at ``low``, 1 at ``high``; ``high`` may be the smaller one."""
    t = min(1.0, max(0.0, (x - low) / (high - low)))
    return t * t * (3.0 - 2.0 * t)


@kernel
def hash_unit(ix: int, iy: int, iz: int, seed: int) -> float:
    """Map a lattice point to [0, 1]."""
    h = (ix * 374761393 + iy * 668265263 + iz * 1440662683 + seed * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 2246822519) & 0xFFFFFFFF
    return ((h >> 8) & 0xFFFF) / 65535.0


@kernel
def noise2(x: float, y: float, seed: int) -> float:
    """Smooth noise in [0, 1] over the plane, one feature per unit."""
    ix, iy = math.floor(x), math.floor(y)
    fx, fy = x - ix, y - iy
    fx, fy = fx * fx * (3.0 - 2.0 * fx), fy * fy * (3.0 - 2.0 * fy)
    jx, jy = int(ix), int(iy)
    low = hash_unit(jx, jy, 0, seed) * (1.0 - fx) + hash_unit(jx + 1, jy, 0, seed) * fx
    high = hash_unit(jx, jy + 1, 0, seed) * (1.0 - fx) + hash_unit(jx + 1, jy + 1, 0, seed) * fx
    return low * (1.0 - fy) + high * fy


@kernel
def noise3(x: float, y: float, z: float, seed: int) -> float:
    """Smooth noise in [0, 1] over space, one feature per unit."""
    ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
    fx, fy, fz = x - ix, y - iy, z - iz
    fx, fy, fz = fx * fx * (3.0 - 2.0 * fx), fy * fy * (3.0 - 2.0 * fy), fz * fz * (3.0 - 2.0 * fz)
    jx, jy, jz = int(ix), int(iy), int(iz)
    total = 0.0
    for dz in range(2):
        wz = fz if dz else 1.0 - fz
        for dy in range(2):
            wy = fy if dy else 1.0 - fy
            near = hash_unit(jx, jy + dy, jz + dz, seed)
            far = hash_unit(jx + 1, jy + dy, jz + dz, seed)
            total += wz * wy * (near * (1.0 - fx) + far * fx)
    return total
