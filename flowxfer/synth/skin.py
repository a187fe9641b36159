"""The paint of the head: skin, lips, brows, beard, eyes, teeth and lines, as functions of the template's coordinates.

Everything is compiled into the shader. Colours are linear RGB; a `_Paint` is (r, g, b, gloss, occlusion factor).
"""

# numba types the kernels.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-any-generics
from __future__ import annotations

import math

from flowxfer.synth.noise import kernel, noise2, noise3, smoothstep

__all__ = ["paint_eye", "paint_skin"]


@kernel
def _mix(paint, colour, share):
    return (
        paint[0] + (colour[0] - paint[0]) * share,
        paint[1] + (colour[1] - paint[1]) * share,
        paint[2] + (colour[2] - paint[2]) * share,
    )


@kernel
def _bump(x, width):
    """Draw a bell of height 1 around 0."""
    q = (x / width) ** 2
    return 1.0 / (1.0 + q * (1.0 + 0.5 * q * (1.0 + q)))


@kernel
def _complexion(x, y, z, look):
    """Skin with blotches, freckles and redder cheeks, nose and ears."""
    ax = abs(x)
    blotch = noise3(5.0 * x + 40.0, 5.0 * y, 5.0 * z, look.seed) - 0.5
    grain = noise3(21.0 * x + 40.0, 21.0 * y, 21.0 * z, look.seed + 1) - 0.5
    k = 1.0 + 0.10 * blotch + 0.07 * grain
    r, g, b = look.skin[0] * k, look.skin[1] * k, look.skin[2] * k
    red = 0.8 * _bump(ax - 0.45, 0.22) * _bump(y - 6.98, 0.2) + 0.7 * _bump(x, 0.13) * _bump(y - 6.97, 0.14)
    red = (red * smoothstep(0.8, 1.2, z) + 0.5 * smoothstep(0.78, 0.86, ax)) * look.redness * (0.8 + 0.8 * blotch)
    g *= 1.0 - 0.24 * red
    b *= 1.0 - 0.20 * red
    tired = _bump(ax - 0.28, 0.17) * _bump(y - 7.2, 0.09) * (0.12 + 0.10 * look.wrinkles)
    r *= 1.0 - 0.8 * tired
    g *= 1.0 - tired
    b *= 1.0 - 0.7 * tired
    if look.freckles > 0.0:
        spot = smoothstep(0.72, 0.85, noise3(46.0 * x + 40.0, 46.0 * y, 46.0 * z, look.seed + 2))
        spot *= look.freckles * 0.35 * _bump(y - 7.02, 0.25) * smoothstep(0.7, 1.2, z)
        r, g, b = r * (1.0 - 0.5 * spot), g * (1.0 - 0.8 * spot), b * (1.0 - spot)
    return r, g, b


@kernel
def _brow(ax, y, z, look, side):
    """Cover of the eyebrow in [0, 1]; ``side`` separates the hairs of left and right."""
    u = (ax - 0.12) / 0.40
    if u < -0.2 or u > 1.15 or z < 0.9 or y < 7.3 or y > 7.7:
        return 0.0
    arch = (0.035 + look.brow_arch) * math.sin(2.5 * min(1.0, max(0.0, u))) - 0.06 * max(0.0, u - 0.6)
    centre = 7.482 + look.brow_height + arch
    width = look.brow_width * (1.15 - 0.65 * max(0.0, u))
    q = (y - centre) / width
    hairs = noise2(46.0 * ax + 22.0 * (y - centre) * (1.0 - u), 9.0 * (y - centre) + 31.0 * side, look.seed + 3)
    body = 1.0 / (1.0 + q * q * q * q * (1.0 + 0.5 * q * q))
    return body * smoothstep(-0.16, 0.10, u) * smoothstep(1.12, 0.8, u) * look.brow_density * (0.72 + 0.28 * hairs)


@kernel
def _beard(x, y, z, lips, look):
    """Cover of beard and moustache in [0, 1]."""
    ax = abs(x)
    edge = 6.68 + 1.35 * max(0.0, ax - 0.36)  # from the corner of the mouth up to the sideburns
    chin = smoothstep(edge + 0.09, edge - 0.07, y) * smoothstep(5.95, 6.2, y) * smoothstep(7.32, 7.02, y)
    lip = _bump(x, 0.30) * _bump(y - 6.80, 0.055) * smoothstep(1.2, 1.4, z)
    cover = max(look.beard * chin, look.moustache * min(1.0, 1.4 * lip))
    hairs = noise3(44.0 * x + 40.0, 20.0 * y, 44.0 * z, look.seed + 4)
    cover *= smoothstep(0.1, 0.6, z) * (1.0 - min(1.0, 1.7 * lips)) * (0.75 + 0.45 * hairs)
    return min(0.94, cover)


@kernel
def _forehead(x, y, lines, look):
    """Darkening by the wrinkles of the forehead and between the brows."""
    dark = _bump(abs(x) - 0.055, 0.022) * _bump(y - 7.47, 0.09) * (0.30 * lines[0] + 0.06 * look.wrinkles)
    if lines[1] + look.wrinkles > 0.0:
        ripple = 0.5 + 0.5 * math.sin(46.0 * (y + 0.05 * x * x) + 0.8 * math.sin(5.0 * x))
        place = _bump(x, 0.45) * smoothstep(7.54, 7.64, y) * smoothstep(7.98, 7.88, y)
        dark += place * ripple * ripple * ripple * (0.16 * lines[1] + 0.10 * look.wrinkles)
    return dark


@kernel
def _lines(x, y, lines, look):
    """Darkening by wrinkles; ``lines`` = frown, raised brows, smile left and right, squint left and right, sneer."""
    ax = abs(x)
    smile = lines[2] if x > 0 else lines[3]
    squint = lines[4] if x > 0 else lines[5]
    dark = 0.0
    if y > 7.54:
        return _forehead(x, y, lines, look)
    dark += _bump(ax - 0.055, 0.022) * _bump(y - 7.47, 0.09) * (0.30 * lines[0] + 0.06 * look.wrinkles)
    t = min(1.0, max(0.0, (7.00 - y) / 0.36))
    fold = 0.19 + 0.17 * t + 0.03 * t * t
    if 6.60 < y < 7.02:
        fade = smoothstep(6.62, 6.78, y) * smoothstep(7.02, 6.94, y)
        dark += fade * (_bump(ax - fold, 0.035) * (0.20 * smile + 0.15 * lines[6] + 0.15 * look.wrinkles))
    if ax > 0.45 and 7.08 < y < 7.44:
        crow = 0.5 + 0.5 * math.sin(60.0 * (y - 7.27) / (0.35 + ax) + 1.0)
        dark += _bump(ax - 0.60, 0.06) * _bump(y - 7.26, 0.09) * crow * crow * (0.16 * squint + 0.10 * look.wrinkles)
    bag = 7.13 + 0.25 * (ax - 0.3) * (ax - 0.3)
    dark += _bump(ax - 0.29, 0.12) * _bump(y - bag, 0.016) * (0.10 * squint + 0.12 * look.wrinkles)
    return min(0.6, dark)


@kernel
def paint_skin(x, y, z, lips, mouth, look, lines):
    """Colour, gloss and occlusion factor of the skin at a point of the template.

    Args:
        x: to the subject's left, dm.
        y: up.
        z: to the front.
        lips: mask of the lips.
        mouth: mask of the inside of the mouth.
        look: a `people.Look`.
        lines: (7,) how strongly the expression folds the skin, see `_lines`.

    Returns:
        (red, green, blue, gloss, occlusion).
    """
    ax = abs(x)
    rgb = _complexion(x, y, z, look)
    gloss = 0.8
    rgb = _mix(rgb, (0.42 * rgb[0], 0.36 * rgb[1], 0.36 * rgb[2]), _lines(x, y, lines, look) if z > 0.8 else 0.0)
    if 7.29 < y < 7.48 and ax < 0.6 and z > 1.0:
        dark = 0.26 * _bump(math.sqrt(((ax - 0.305) / 0.20) ** 2 + ((y - 7.275) / 0.125) ** 2) - 1.0, 0.07)
        rgb = (rgb[0] * (1.0 - 0.8 * dark), rgb[1] * (1.0 - dark), rgb[2] * (1.0 - dark))
    if (look.beard > 0.0 or look.moustache > 0.0) and z > 0.1 and y < 7.33:
        cover = _beard(x, y, z, lips, look)
        rgb = _mix(rgb, (0.7 * look.hair[0], 0.7 * look.hair[1], 0.7 * look.hair[2]), cover)
        gloss *= 1.0 - 0.8 * cover
    cover = smoothstep(0.15, 0.75, lips) * look.lip_colour
    if cover > 0.0:
        fine = 0.92 + 0.16 * noise2(60.0 * x, 6.0 * y, look.seed + 5)
        rgb = _mix(rgb, (look.lips[0] * fine, look.lips[1] * fine, look.lips[2] * fine), cover)
        gloss += 1.1 * cover
    rgb = _mix(rgb, look.brow, _brow(ax, y, z, look, 1.0 if x > 0 else 2.0))
    if y < 5.62 - 0.35 * max(0.0, 0.55 - ax) + 0.12 * smoothstep(0.3, 1.1, ax):
        rgb, gloss = (look.shirt[0], look.shirt[1], look.shirt[2]), 0.0
    occlusion = 1.0
    if mouth > 0.4 and z > 0.3:
        depth = smoothstep(0.85, 1.5, z)
        inside = (0.20 * (0.12 + 0.88 * depth), 0.045 * (0.1 + 0.9 * depth), 0.042 * (0.1 + 0.9 * depth))
        rgb = _mix(rgb, inside, smoothstep(0.4, 0.7, mouth))
        occlusion, gloss = 0.8, gloss * 0.3
    return rgb[0], rgb[1], rgb[2], gloss, occlusion


@kernel
def paint_eye(x, y, z, look):
    """Colour of the eyeball: sclera with a reddish rim, fibrous iris with a dark ring, pupil; (red, green, blue)."""
    dx, dy = abs(x) - 0.3077, y - 7.284
    d = math.sqrt(dx * dx + dy * dy)
    rim = smoothstep(0.07, 0.14, d)
    rgb = (0.78 - 0.12 * rim, 0.74 - 0.22 * rim, 0.72 - 0.22 * rim)
    if z < 1.25:
        return rgb
    fibre = noise2(9.0 * math.atan2(dy, dx) + 40.0, 20.0 * d, look.seed + 6)
    iris = smoothstep(0.068, 0.059, d)
    shade = (
        (0.75 + 0.6 * fibre) * (1.0 - 0.7 * smoothstep(0.044, 0.062, d)) * (1.25 - 0.5 * smoothstep(-0.05, 0.05, dy))
    )
    rgb = _mix(rgb, (look.iris[0] * shade, look.iris[1] * shade, look.iris[2] * shade), iris)
    return _mix(rgb, (0.006, 0.005, 0.005), smoothstep(0.030, 0.023, d))
