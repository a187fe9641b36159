"""Triangles to pixels: deformation, normals and a z-buffer, compiled by numba for one thread.

Screen coordinates are (x right, y down, depth away from the viewer) in pixels of the supersampled frame. Depth may be
in any unit. No kernel uses fastmath, so that the order of the arithmetic does not depend on the CPU.
"""

# numba types the kernels.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-any-generics
from __future__ import annotations

import math

from flowxfer.synth.noise import kernel, noise2

__all__ = ["FAR", "deform", "depth_map", "rasterise", "rasterise_strands", "vertex_normals"]

FAR = 1e9


@kernel
def deform(rest, actions, weights, scale, out):
    """Write ``rest + scale * weights @ actions`` to ``out``; (n, 3) each, ``actions`` (52, n, 3)."""
    out[:] = rest
    for k in range(weights.shape[0]):
        w = weights[k] * scale
        if w != 0.0:
            for i in range(rest.shape[0]):
                out[i, 0] += w * actions[k, i, 0]
                out[i, 1] += w * actions[k, i, 1]
                out[i, 2] += w * actions[k, i, 2]


@kernel
def vertex_normals(vertices, triangles, out):
    """Write the area-weighted unit normal of every vertex to ``out``, (n, 3)."""
    out[:] = 0.0
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for i in (a, b, c):
            out[i, 0] += nx
            out[i, 1] += ny
            out[i, 2] += nz
    for i in range(out.shape[0]):
        length = math.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2) + 1e-12
        out[i, 0] /= length
        out[i, 1] /= length
        out[i, 2] /= length


@kernel
def _span(p, q, r, size):
    """First and last pixel whose centre lies between the smallest and the largest of three, inside the frame."""
    return max(0, math.ceil(min(p, q, r) - 0.5)), min(size - 1, math.floor(max(p, q, r) - 0.5))


@kernel
def _edges(screen, a, b, c):
    """Derive the plane equations of two barycentric weights: (area2, w1 at x, y, 1, w2 at x, y, 1)."""
    x0, y0 = screen[a, 0], screen[a, 1]
    x1, y1, x2, y2 = screen[b, 0] - x0, screen[b, 1] - y0, screen[c, 0] - x0, screen[c, 1] - y0
    area2 = x1 * y2 - x2 * y1
    inverse = 1.0 / area2 if abs(area2) > 1e-9 else 0.0
    u, v = y2 * inverse, -x2 * inverse
    s, t = -y1 * inverse, x1 * inverse
    return area2, u, v, -(u * x0 + v * y0), s, t, -(s * x0 + t * y0)


@kernel
def rasterise(screen, triangles, two_sided, zbuffer, index, weights):
    """Fill the z-buffer with surfaces.

    Args:
        screen: (n, 3) pixel coordinates and depth.
        triangles: (t, 3) int32.
        two_sided: (t,) True where the back of a triangle is drawn too.
        zbuffer: (h, w) depth; it and the next two are kept where nothing nearer comes.
        index: (h, w) number of the triangle.
        weights: (h, w, 2) barycentric weights of its 2nd and 3rd corner.
    """
    height, width = zbuffer.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        area2, u, v, w, p, q, r = _edges(screen, a, b, c)
        if abs(area2) < 1e-9 or (area2 > 0.0 and not two_sided[t]):
            continue
        xa, xb = _span(screen[a, 0], screen[b, 0], screen[c, 0], width)
        ya, yb = _span(screen[a, 1], screen[b, 1], screen[c, 1], height)
        for y in range(ya, yb + 1):
            for x in range(xa, xb + 1):
                w1 = u * (x + 0.5) + v * (y + 0.5) + w
                w2 = p * (x + 0.5) + q * (y + 0.5) + r
                w0 = 1.0 - w1 - w2
                if w0 < -1e-6 or w1 < -1e-6 or w2 < -1e-6:
                    continue
                z = w0 * screen[a, 2] + w1 * screen[b, 2] + w2 * screen[c, 2]
                if z < zbuffer[y, x]:
                    zbuffer[y, x] = z
                    index[y, x] = t
                    weights[y, x, 0] = w1
                    weights[y, x, 1] = w2


@kernel
def rasterise_strands(screen, triangles, strand, seed, first, zbuffer, index, weights):
    """Fill the z-buffer with hair: as `rasterise`, but only where a strand grows.

    Args:
        screen: (n, 3) pixel coordinates and depth.
        triangles: (t, 3) int32, drawn from both sides.
        strand: (n, 4) per vertex: across and along the strands (one strand per unit across), the height above the
            root in [0, 1], and the cover (positive inside the hairline).
        seed: of the strands.
        first: what is added to a triangle's number in ``index``.
        zbuffer: (h, w) depth; it and the next two are kept where nothing nearer comes.
        index: (h, w) number of the triangle.
        weights: (h, w, 2) barycentric weights of its 2nd and 3rd corner.
    """
    height, width = zbuffer.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        area2, u, v, w, p, q, r = _edges(screen, a, b, c)
        if abs(area2) < 1e-9:
            continue
        xa, xb = _span(screen[a, 0], screen[b, 0], screen[c, 0], width)
        ya, yb = _span(screen[a, 1], screen[b, 1], screen[c, 1], height)
        for y in range(ya, yb + 1):
            for x in range(xa, xb + 1):
                w1 = u * (x + 0.5) + v * (y + 0.5) + w
                w2 = p * (x + 0.5) + q * (y + 0.5) + r
                w0 = 1.0 - w1 - w2
                if w0 < -1e-6 or w1 < -1e-6 or w2 < -1e-6:
                    continue
                z = w0 * screen[a, 2] + w1 * screen[b, 2] + w2 * screen[c, 2]
                if z >= zbuffer[y, x]:
                    continue
                cover = w0 * strand[a, 3] + w1 * strand[b, 3] + w2 * strand[c, 3]
                if cover <= 0.0:
                    continue
                across = w0 * strand[a, 0] + w1 * strand[b, 0] + w2 * strand[c, 0]
                along = w0 * strand[a, 1] + w1 * strand[b, 1] + w2 * strand[c, 1]
                level = w0 * strand[a, 2] + w1 * strand[b, 2] + w2 * strand[c, 2]
                density = noise2(across, along, seed)
                if density < level * 0.85 or cover < 0.9 * density * (0.7 + 0.3 * level):
                    continue
                zbuffer[y, x] = z
                index[y, x] = first + t
                weights[y, x, 0] = w1
                weights[y, x, 1] = w2


@kernel
def depth_map(screen, triangles, zbuffer):
    """Fill ``zbuffer`` (h, w) with the nearest depth of any triangle, whichever way it faces."""
    height, width = zbuffer.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        area2, u, v, w, p, q, r = _edges(screen, a, b, c)
        if abs(area2) < 1e-9:
            continue
        xa, xb = _span(screen[a, 0], screen[b, 0], screen[c, 0], width)
        ya, yb = _span(screen[a, 1], screen[b, 1], screen[c, 1], height)
        for y in range(ya, yb + 1):
            for x in range(xa, xb + 1):
                w1 = u * (x + 0.5) + v * (y + 0.5) + w
                w2 = p * (x + 0.5) + q * (y + 0.5) + r
                w0 = 1.0 - w1 - w2
                if w0 >= -1e-6 and w1 >= -1e-6 and w2 >= -1e-6:
                    z = w0 * screen[a, 2] + w1 * screen[b, 2] + w2 * screen[c, 2]
                    if z < zbuffer[y, x]:
                        zbuffer[y, x] = z
