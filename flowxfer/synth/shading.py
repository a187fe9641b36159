"""Pixels to light: materials, a key light with soft shadows, fill, sky, and the film's response."""

# numba types the kernels.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-any-generics
from __future__ import annotations

import math

from flowxfer.synth.noise import kernel, noise2, smoothstep
from flowxfer.synth.skin import paint_eye, paint_skin

__all__ = ["develop", "shade"]

EXPOSURE = 0.62


@kernel
def _lit(x, y, depth, shadow):
    """Share of the key light, 3 x 3 soft comparisons in the shadow map; ``x``, ``y`` in its pixels."""
    size = shadow.shape[0]
    total = 0.0
    for j in range(-1, 2):
        for i in range(-1, 2):
            u, v = math.floor(x + 1.7 * i), math.floor(y + 1.7 * j)
            if 0 <= u < size and 0 <= v < size:
                total += min(1.0, max(0.0, (shadow[v, u] - depth) * 16.0 + 1.7))
            else:
                total += 1.0
    return total / 9.0


@kernel
def _diffuse(out, colour, n, light, lit, ambient, wrap):
    """Add wrapped key light, fill light and sky; red light enters the skin and comes out further round."""
    key = n[0] * light.key[0] + n[1] * light.key[1] + n[2] * light.key[2]
    fill = max(0.0, n[0] * light.fill[0] + n[1] * light.fill[1] + n[2] * light.fill[2])
    up = 0.5 + 0.5 * n[1]
    for k in range(3):
        w = wrap * (1.0, 0.45, 0.3)[k]
        direct = max(0.0, (key + w) / (1.0 + w))
        soft = lit + (1.0 - lit) * 0.22 * w
        sky = light.sky[k] * up + light.ground[k] * (1.0 - up)
        bounce = ambient + (1.0 - ambient) * ambient * 0.35 * colour[k]
        out[k] += colour[k] * (
            light.key_colour[k] * direct * soft + light.fill_colour[k] * fill * ambient + sky * bounce
        )


@kernel
def _specular(out, n, light, lit, strength, doublings):
    """Add the highlight of the key light (Blinn's half vector, to the power 2 ** doublings) and a sheen."""
    hx, hy, hz = light.key[0], light.key[1], light.key[2] + 1.0
    h = max(0.0, n[0] * hx + n[1] * hy + n[2] * hz) / math.sqrt(hx * hx + hy * hy + hz * hz)
    for _ in range(doublings):
        h *= h
    spot, grazing = strength * lit * h, 1.0 - max(0.0, n[2])
    sheen = 0.10 * strength * grazing * grazing * grazing
    for k in range(3):
        out[k] += spot * light.key_colour[k] + sheen * light.sky[k]


@kernel
def _shade_head(out, p, n, masks, ambient, material, look, lines, light, lit):
    """Light one pixel of the head into ``out`` (3,); ``p`` is its place on the template."""
    if material == 0:
        r, g, b, gloss, factor = paint_skin(p[0], p[1], p[2], masks[0], masks[1], look, lines)
        ambient = ambient * factor
        _diffuse(out, (r, g, b), n, light, lit, ambient, 0.42)
        soft = smoothstep(0.0, 0.5, ambient)
        _specular(out, n, light, lit * soft, 0.055 * gloss * look.gloss, 4)
        if gloss > 0.9:
            _specular(out, n, light, lit * soft, 0.05 * (gloss - 0.9) * look.gloss, 6)
    elif material == 1:
        ambient = 0.5 + 0.5 * ambient
        _diffuse(out, paint_eye(p[0], p[1], p[2], look), n, light, 0.25 + 0.75 * lit, ambient, 0.6)
        _specular(out, n, light, 1.0, 1.6, 7)
    elif material == 2:
        arch = (p[0] * 2.2, 0.1, 1.0)
        length = math.sqrt(arch[0] * arch[0] + 1.01)
        back = smoothstep(1.05, 1.42, p[2])
        tooth = 0.97 + 0.03 * math.cos(75.0 * p[0])
        shade = (0.25 + 0.75 * back) * tooth
        _diffuse(
            out,
            (0.80 * shade, 0.755 * shade, 0.66 * shade),
            (arch[0] / length, 0.1 / length, 1.0 / length),
            light,
            0.45 + 0.55 * lit,
            0.55,
            0.6,
        )
    elif material == 3:
        front = smoothstep(0.9, 1.4, p[2])
        _diffuse(out, (0.50 * front, 0.17 * front, 0.16 * front), n, light, 0.3 + 0.7 * lit, 0.35, 0.4)
        _specular(out, n, light, lit, 0.05, 5)
    else:
        for k in range(3):
            out[k] = 0.35 * look.brow[k] * light.sky[k]


@kernel
def _shade_hair(out, n, tangent, strand, look, light, lit):
    """Light one pixel of hair into ``out`` (3,); ``strand`` as in `raster.rasterise_strands`."""
    tone = (
        0.45 + 0.75 * noise2(0.55 * strand[0], 0.6 * strand[1], look.seed + 8) + 0.3 * noise2(strand[0], strand[1], 9)
    )
    tone *= 0.5 + 0.5 * smoothstep(0.0, 0.7, strand[2] + 0.25)
    tl = tangent[0] * light.key[0] + tangent[1] * light.key[1] + tangent[2] * light.key[2]
    nl = n[0] * light.key[0] + n[1] * light.key[1] + n[2] * light.key[2]
    direct = math.sqrt(max(0.0, 1.0 - tl * tl)) * max(0.0, (nl + 0.45) / 1.45) * lit
    hx, hy, hz = light.key[0], light.key[1], light.key[2] + 1.0
    th = (tangent[0] * hx + tangent[1] * hy + tangent[2] * hz) / math.sqrt(hx * hx + hy * hy + hz * hz)
    th += 0.22 * (noise2(0.8 * strand[0], 0.3, look.seed + 10) - 0.5)
    shine = max(0.0, 1.0 - th * th)
    for _ in range(4):
        shine *= shine
    shine *= max(0.0, nl + 0.2) * lit
    up = 0.5 + 0.5 * n[1]
    facing = 0.45 + 0.55 * max(0.0, n[2])
    for k in range(3):
        sky = (light.sky[k] * up + light.ground[k] * (1.0 - up)) * (0.35 + 0.4 * facing)
        colour = look.hair[k] * tone
        out[k] += colour * (light.key_colour[k] * direct + sky + 0.5 * light.fill_colour[k] * facing)
        out[k] += shine * light.key_colour[k] * (0.025 + 0.40 * colour) * facing


@kernel
def _interpolate(out, vertices, corners, w1, w2):
    """Write the weighted mean of a triangle's three rows of ``vertices`` to ``out``."""
    a, b, c = corners[0], corners[1], corners[2]
    for k in range(vertices.shape[1]):
        out[k] = vertices[a, k] + w1 * (vertices[b, k] - vertices[a, k]) + w2 * (vertices[c, k] - vertices[a, k])


@kernel
def shade(frame, index, weights, head, hair, place, shadow, look, lines, light):
    """Light every pixel that a triangle covers; ``frame`` (h, w, 3) holds the background and is overwritten.

    Args:
        frame: linear RGB.
        index: of `raster.rasterise`; hair triangles count on after the head's.
        weights: likewise.
        head: triangles (t, 3), materials (t,), vertices (n, 14): template xyz, normal xyz, shadow-map xyz, lips, mouth,
            eyelids, ears, share of the sky.
        hair: triangles (u, 3) and vertices (h, 13): normal, tangent, shadow-map xyz, strand coordinates.
        place: (20,) scratch.
        shadow: (m, m) depth map seen from the key light.
        look: a `people.Look`.
        lines: see `skin.paint_skin`.
        light: a `scene.Light`.
    """
    triangles, materials, vertices = head
    hair_triangles, hair_vertices = hair
    out, v = place[:3], place[3:]
    for y in range(index.shape[0]):
        for x in range(index.shape[1]):
            t = index[y, x]
            if t < 0:
                continue
            out[:] = 0.0
            if t < triangles.shape[0]:
                _interpolate(v, vertices, triangles[t], weights[y, x, 0], weights[y, x, 1])
                length = math.sqrt(v[3] * v[3] + v[4] * v[4] + v[5] * v[5]) + 1e-9
                n = (v[3] / length, v[4] / length, v[5] / length)
                lit = _lit(v[6], v[7], v[8], shadow)
                _shade_head(out, v[0:3], n, v[9:13], v[13], materials[t], look, lines, light, lit)
            else:
                _interpolate(
                    v, hair_vertices, hair_triangles[t - triangles.shape[0]], weights[y, x, 0], weights[y, x, 1]
                )
                lit = 0.25 + 0.75 * _lit(v[6], v[7], v[8] - 0.10, shadow)
                _shade_hair(out, v[0:3], v[3:6], v[9:13], look, light, lit)
            for k in range(3):
                frame[y, x, k] = out[k]


@kernel
def develop(frame, samples, picture):
    """Average ``samples`` x ``samples`` pixels of linear light, compress it as film does, encode as 8-bit sRGB.

    The curve is Narkowicz's fit of the ACES film response.
    """
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            for k in range(3):
                total = 0.0
                for j in range(samples):
                    for i in range(samples):
                        v = EXPOSURE * frame[y * samples + j, x * samples + i, k]
                        total += min(1.0, v * (2.51 * v + 0.03) / (v * (2.43 * v + 0.59) + 0.14))
                picture[y, x, k] = int(255.0 * (total / (samples * samples)) ** (1.0 / 2.2) + 0.5)
