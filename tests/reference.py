"""OpenAI's Glow in float64 NumPy, written from its specification alone: slow, plain, and nothing shared with flowxfer.

Images are (N, H, W, 3) in (−0.5, 0.5), latents are one (N, H, W, C) eps per level, variables have OpenAI's names.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def random_variables(levels, depth, width, coupling, seed, *, learned_prior=True, scale=0.1):
    """Variables of a Glow whose every part matters: no zero, no identity, 1x1 matrices near rotations."""
    rng = np.random.default_rng(seed)
    variables = {}

    def normal(name, *shape, std=scale):
        variables[name] = rng.normal(0, std, shape).astype(np.float32)

    def actnorm(name, channels):
        normal(f"{name}/actnorm_center/b", 1, 1, 1, channels)
        normal(f"{name}/actnorm_scale/logs", 1, 1, 1, channels)

    def edge_conv(name, inputs, outputs):
        normal(f"{name}/W", 3, 3, inputs + 1, outputs)
        normal(f"{name}/b", 1, 1, 1, outputs)
        normal(f"{name}/logs", 1, outputs)

    for level in range(levels):
        channels = 12 * 2**level
        for step in range(depth):
            name = f"model/{level}/{step}"
            actnorm(name, channels)
            rotation = np.linalg.qr(rng.normal(size=(channels, channels)))[0]
            variables[f"{name}/invconv/W"] = (rotation + rng.normal(0, 0.02, rotation.shape)).astype(np.float32)
            normal(f"{name}/f1/l_1/W", 3, 3, channels // 2 + 1, width)
            actnorm(f"{name}/f1/l_1", width)
            normal(f"{name}/f1/l_2/W", 1, 1, width, width, std=0.3)
            actnorm(f"{name}/f1/l_2", width)
            edge_conv(f"{name}/f1/l_last", width, channels // 2 if coupling == "additive" else channels)
        if level < levels - 1:
            edge_conv(f"model/pool{level}/conv", channels // 2, channels)
    if learned_prior:
        edge_conv("model/prior/p", 2 * channels, 2 * channels)
    return variables


def preprocess(pixels, bits, noise=0.5):
    """uint8 pixels to images; ``noise`` is the place inside a bin, 0 to 1."""
    return (np.floor(pixels / 2 ** (8 - bits)) + noise) / 2**bits - 0.5


def postprocess(x, bits):
    """Images to uint8 pixels."""
    return np.clip(np.floor((x + 0.5) * 2**bits) * 2 ** (8 - bits), 0, 255).astype(np.uint8)


def squeeze(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 5, 2, 4).reshape(n, h // 2, w // 2, 4 * c)


def unsqueeze(x):
    n, h, w, c = x.shape
    return x.reshape(n, h, w, c // 4, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(n, 2 * h, 2 * w, c // 4)


def conv3x3(x, kernel):
    """Pad with zeros, append the indicator of the padding, convolve."""
    inside = np.pad(np.ones((*x.shape[:3], 1)), [(0, 0), (1, 1), (1, 1), (0, 0)])
    padded = np.concatenate([np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]), 1 - inside], -1)
    return np.einsum("nhwcij,ijco->nhwo", sliding_window_view(padded, (3, 3), axis=(1, 2)), kernel, optimize=True)


class Reference:
    """A Glow of these variables."""

    def __init__(self, variables):
        self.v = {name: array.astype(np.float64) for name, array in variables.items()}
        self.levels = 1 + max(int(name.split("/")[1]) for name in variables if "invconv" in name)
        self.depth = 1 + max(int(name.split("/")[2]) for name in variables if "invconv" in name)

    def actnorm(self, name, x):
        return (x + self.v[f"{name}/actnorm_center/b"]) * np.exp(3 * self.v[f"{name}/actnorm_scale/logs"])

    def actnorm_inverse(self, name, y):
        return y * np.exp(-3 * self.v[f"{name}/actnorm_scale/logs"]) - self.v[f"{name}/actnorm_center/b"]

    def edge_conv(self, name, x):
        return (conv3x3(x, self.v[f"{name}/W"]) + self.v[f"{name}/b"]) * np.exp(3 * self.v[f"{name}/logs"])

    def f(self, name, x):
        h = np.maximum(self.actnorm(f"{name}/l_1", conv3x3(x, self.v[f"{name}/l_1/W"])), 0)
        h = np.maximum(self.actnorm(f"{name}/l_2", h @ self.v[f"{name}/l_2/W"][0, 0]), 0)
        return self.edge_conv(f"{name}/l_last", h)

    def shift_and_scale(self, name, z1):
        h = self.f(f"{name}/f1", z1)
        if h.shape[-1] == z1.shape[-1]:
            return h, 1.0
        return h[..., 0::2], 1 / (1 + np.exp(-(h[..., 1::2] + 2)))

    def step(self, name, x):
        z1, z2 = np.split(self.actnorm(name, x) @ self.v[f"{name}/invconv/W"], 2, -1)
        shift, scale = self.shift_and_scale(name, z1)
        return np.concatenate([z1, (z2 + shift) * scale], -1)

    def step_inverse(self, name, y):
        z1, z2 = np.split(y, 2, -1)
        shift, scale = self.shift_and_scale(name, z1)
        z = np.concatenate([z1, z2 / scale - shift], -1)
        return self.actnorm_inverse(name, z @ np.linalg.inv(self.v[f"{name}/invconv/W"]))

    def split_prior(self, level, z1):
        h = self.edge_conv(f"model/pool{level}/conv", z1)
        return h[..., 0::2], h[..., 1::2]

    def top_prior(self, shape):
        if "model/prior/p/W" not in self.v:
            return np.zeros(shape), np.zeros(shape)
        return np.split(self.edge_conv("model/prior/p", np.zeros((*shape[:-1], 2 * shape[-1]))), 2, -1)

    def encode(self, x):
        eps = []
        for level in range(self.levels):
            x = squeeze(x)
            for step in range(self.depth):
                x = self.step(f"model/{level}/{step}", x)
            if level < self.levels - 1:
                x, z2 = np.split(x, 2, -1)
                mean, logs = self.split_prior(level, x)
                eps.append((z2 - mean) / np.exp(logs))
        mean, logs = self.top_prior(x.shape)
        return [*eps, (x - mean) / np.exp(logs)]

    def decode(self, eps):
        mean, logs = self.top_prior(eps[-1].shape)
        x = mean + np.exp(logs) * eps[-1]
        for level in reversed(range(self.levels)):
            if level < self.levels - 1:
                mean, logs = self.split_prior(level, x)
                x = np.concatenate([x, mean + np.exp(logs) * eps[level]], -1)
            for step in reversed(range(self.depth)):
                x = self.step_inverse(f"model/{level}/{step}", x)
            x = unsqueeze(x)
        return x


def encode(variables, x):
    """Images (N, H, W, 3) to one eps (N, H, W, C) per level."""
    return Reference(variables).encode(x)


def decode(variables, eps):
    """The inverse of :func:`encode`."""
    return Reference(variables).decode(eps)
