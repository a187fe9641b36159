"""Two PyTorch ports of Glow, restated: their state dicts at random, and what they compute with them.

Written from the ports' formulas with torch's own convolutions, so that an import of their weights has something to
agree with. ``w`` is a state dict; images are what each port sees, (N, 3, H, W).
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import torch
from torch.nn import functional

# ---------------------------------------------------------------- what both share


class Random:
    """Draws a state dict."""

    def __init__(self, seed):
        self.w, self.rng = {}, np.random.default_rng(seed)

    def normal(self, name, *shape, std=0.1, mean=0.0):
        self.w[name] = torch.from_numpy(self.rng.normal(mean, std, shape).astype(np.float32))

    def matrix(self, channels):
        rotation = np.linalg.qr(self.rng.normal(size=(channels, channels)))[0]
        return rotation + self.rng.normal(0, 0.02, rotation.shape)

    def lu(self, channels):
        """permutation, lower with its ones, upper without its diagonal, and the diagonal."""
        permutation, lower, upper = scipy.linalg.lu(self.matrix(channels))
        parts = permutation, lower, np.triu(upper, 1), np.diag(upper)
        return [torch.from_numpy(np.ascontiguousarray(part)).float() for part in parts]


def squeeze(x):
    return functional.pixel_unshuffle(x, 2)


def unsqueeze(x):
    return functional.pixel_shuffle(x, 2)


def mix(x, matrix):
    return torch.einsum("oc,nchw->nohw", matrix, x)


# ---------------------------------------------------------------- rosinality/glow-pytorch


def rosinality_state(levels, depth, width, *, affine, lu, seed=0, no_lu_bug=False):
    """``lu`` of the last block is always true there, which ``no_lu_bug`` repeats."""
    r = Random(seed)

    def zero_conv(name, inputs, outputs):
        r.normal(f"{name}.conv.weight", outputs, inputs, 3, 3, std=0.03)
        r.normal(f"{name}.conv.bias", outputs)
        r.normal(f"{name}.scale", 1, outputs, 1, 1)

    for level in range(levels):
        channels = 12 * 2**level
        for step in range(depth):
            name = f"blocks.{level}.flows.{step}"
            r.normal(f"{name}.actnorm.loc", 1, channels, 1, 1)
            r.normal(f"{name}.actnorm.scale", 1, channels, 1, 1, mean=1.0)
            r.w[f"{name}.actnorm.initialized"] = torch.tensor(1, dtype=torch.uint8)
            if lu or (no_lu_bug and level == levels - 1):
                permutation, lower, upper, diagonal = r.lu(channels)
                ones = torch.ones(channels, channels)
                r.w |= {
                    f"{name}.invconv.w_p": permutation,
                    f"{name}.invconv.u_mask": ones.triu(1),
                    f"{name}.invconv.l_mask": ones.triu(1).T.contiguous(),
                    f"{name}.invconv.s_sign": diagonal.sign(),
                    f"{name}.invconv.l_eye": torch.eye(channels),
                    f"{name}.invconv.w_l": lower,
                    f"{name}.invconv.w_s": diagonal.abs().log(),
                    f"{name}.invconv.w_u": upper,
                }
            else:
                r.w[f"{name}.invconv.weight"] = torch.from_numpy(r.matrix(channels)).float()[:, :, None, None]
            r.normal(f"{name}.coupling.net.0.weight", width, channels // 2, 3, 3)
            r.normal(f"{name}.coupling.net.0.bias", width)
            r.normal(f"{name}.coupling.net.2.weight", width, width, 1, 1, std=0.3)
            r.normal(f"{name}.coupling.net.2.bias", width)
            zero_conv(f"{name}.coupling.net.4", width, channels if affine else channels // 2)
        last = level == levels - 1
        zero_conv(f"blocks.{level}.prior", channels if last else channels // 2, 2 * channels if last else channels)
    return r.w


class Rosinality:
    """Its ``forward`` (z, here as standardised residuals) and its ``reverse`` of eps."""

    def __init__(self, w, levels, depth):
        self.w = {name: tensor.double() for name, tensor in w.items()}
        self.levels, self.depth = levels, depth

    def zero_conv(self, name, x):
        x = functional.pad(x, [1, 1, 1, 1], value=1)
        h = functional.conv2d(x, self.w[f"{name}.conv.weight"], self.w[f"{name}.conv.bias"])
        return h * torch.exp(self.w[f"{name}.scale"] * 3)

    def net(self, name, x):
        h = functional.conv2d(x, self.w[f"{name}.0.weight"], self.w[f"{name}.0.bias"], padding=1).relu()
        h = functional.conv2d(h, self.w[f"{name}.2.weight"], self.w[f"{name}.2.bias"]).relu()
        return self.zero_conv(f"{name}.4", h)

    def scale_and_shift(self, name, a):
        h = self.net(f"{name}.coupling.net", a)
        if h.shape[1] == a.shape[1]:
            return 1.0, h
        log_s, t = h.chunk(2, 1)
        return torch.sigmoid(log_s + 2), t

    def matrix(self, name):
        if f"{name}.invconv.weight" in self.w:
            return self.w[f"{name}.invconv.weight"][:, :, 0, 0]
        part = {key.rpartition(".")[2]: value for key, value in self.w.items() if key.startswith(f"{name}.invconv.")}
        lower = part["w_l"] * part["l_mask"] + part["l_eye"]
        return part["w_p"] @ lower @ (part["w_u"] * part["u_mask"] + torch.diag(part["s_sign"] * part["w_s"].exp()))

    def flow(self, name, x):
        x = self.w[f"{name}.actnorm.scale"] * (x + self.w[f"{name}.actnorm.loc"])
        a, b = mix(x, self.matrix(name)).chunk(2, 1)
        s, t = self.scale_and_shift(name, a)
        return torch.cat([a, (b + t) * s], 1)

    def flow_reverse(self, name, y):
        a, b = y.chunk(2, 1)
        s, t = self.scale_and_shift(name, a)
        x = mix(torch.cat([a, b / s - t], 1), torch.linalg.inv(self.matrix(name)))
        return x / self.w[f"{name}.actnorm.scale"] - self.w[f"{name}.actnorm.loc"]

    def forward(self, x):
        eps = []
        for level in range(self.levels):
            x = squeeze(x)
            for step in range(self.depth):
                x = self.flow(f"blocks.{level}.flows.{step}", x)
            last = level == self.levels - 1
            x, z = (torch.zeros_like(x), x) if last else x.chunk(2, 1)
            mean, log_sd = self.zero_conv(f"blocks.{level}.prior", x).chunk(2, 1)
            eps.append((z - mean) / torch.exp(log_sd))
        return eps

    def reverse(self, eps):
        x = torch.zeros_like(eps[-1])
        for level in reversed(range(self.levels)):
            mean, log_sd = self.zero_conv(f"blocks.{level}.prior", x).chunk(2, 1)
            z = mean + torch.exp(log_sd) * eps[level]
            x = z if level == self.levels - 1 else torch.cat([x, z], 1)
            for step in reversed(range(self.depth)):
                x = self.flow_reverse(f"blocks.{level}.flows.{step}", x)
            x = unsqueeze(x)
        return x


# ---------------------------------------------------------------- chaiyujin/glow-pytorch


def chaiyujin_state(levels, depth, width, *, affine, lu, learn_top, size=8, seed=0):
    r = Random(seed)

    def actnorm(name, channels):
        r.normal(f"{name}.bias", 1, channels, 1, 1)
        r.normal(f"{name}.logs", 1, channels, 1, 1)

    def zeros_conv(name, inputs, outputs):
        r.normal(f"{name}.weight", outputs, inputs, 3, 3, std=0.03)
        r.normal(f"{name}.bias", outputs)
        r.normal(f"{name}.logs", outputs, 1, 1)

    layer = 0
    for level in range(levels):
        channels = 12 * 2**level
        for _ in range(depth):
            layer += 1
            name = f"flow.layers.{layer}"
            actnorm(f"{name}.actnorm", channels)
            if lu:
                permutation, lower, upper, diagonal = r.lu(channels)
                r.w |= {
                    f"{name}.invconv.p": permutation,
                    f"{name}.invconv.sign_s": diagonal.sign(),
                    f"{name}.invconv.l": lower,
                    f"{name}.invconv.log_s": diagonal.abs().log(),
                    f"{name}.invconv.u": upper,
                }
            else:
                r.w[f"{name}.invconv.weight"] = torch.from_numpy(r.matrix(channels)).float()
            r.normal(f"{name}.f.0.weight", width, channels // 2, 3, 3)
            actnorm(f"{name}.f.0.actnorm", width)
            r.normal(f"{name}.f.2.weight", width, width, 1, 1, std=0.3)
            actnorm(f"{name}.f.2.actnorm", width)
            zeros_conv(f"{name}.f.4", width, channels if affine else channels // 2)
        layer += 1
        if level < levels - 1:
            zeros_conv(f"flow.layers.{layer}.conv", channels // 2, channels)
            layer += 1
    if learn_top:
        zeros_conv("learn_top", 2 * channels, 2 * channels)
    r.w["prior_h"] = torch.zeros(2, 2 * channels, size >> levels, size >> levels)
    return r.w


class Chaiyujin:
    """Its flow; the residuals that it draws or scores, standardised, are the latents."""

    def __init__(self, w, levels, depth):
        self.w = {name: tensor.double() for name, tensor in w.items()}
        self.levels, self.depth = levels, depth

    def actnorm(self, name, x):
        return (x + self.w[f"{name}.bias"]) * torch.exp(self.w[f"{name}.logs"])

    def zeros_conv(self, name, x):
        h = functional.conv2d(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"], padding=1)
        return h * torch.exp(self.w[f"{name}.logs"] * 3)

    def shift_and_scale(self, name, z1):
        h = functional.conv2d(z1, self.w[f"{name}.f.0.weight"], padding=1)
        h = functional.conv2d(self.actnorm(f"{name}.f.0.actnorm", h).relu(), self.w[f"{name}.f.2.weight"])
        h = self.zeros_conv(f"{name}.f.4", self.actnorm(f"{name}.f.2.actnorm", h).relu())
        if h.shape[1] == z1.shape[1]:
            return h, 1.0
        return h[:, 0::2], torch.sigmoid(h[:, 1::2] + 2.0)

    def matrix(self, name):
        if f"{name}.invconv.weight" in self.w:
            return self.w[f"{name}.invconv.weight"]
        p, s, l, log_s, u = (self.w[f"{name}.invconv.{part}"] for part in ("p", "sign_s", "l", "log_s", "u"))  # noqa: E741
        mask = torch.tril(torch.ones_like(l), -1)
        return p @ (l * mask + torch.eye(len(l))) @ (u * mask.T + torch.diag(s * torch.exp(log_s)))

    def step(self, name, x):
        z1, z2 = mix(self.actnorm(f"{name}.actnorm", x), self.matrix(name)).chunk(2, 1)
        shift, scale = self.shift_and_scale(name, z1)
        return torch.cat([z1, (z2 + shift) * scale], 1)

    def step_reverse(self, name, y):
        z1, z2 = y.chunk(2, 1)
        shift, scale = self.shift_and_scale(name, z1)
        x = mix(torch.cat([z1, z2 / scale - shift], 1), torch.linalg.inv(self.matrix(name)))
        return x * torch.exp(-self.w[f"{name}.actnorm.logs"]) - self.w[f"{name}.actnorm.bias"]

    def split_prior(self, level, z1):
        h = self.zeros_conv(f"flow.layers.{(level + 1) * (self.depth + 2) - 1}.conv", z1)
        return h[:, 0::2], h[:, 1::2]

    def top_prior(self, z):
        h = torch.zeros(len(z), 2 * z.shape[1], *z.shape[2:], dtype=z.dtype)
        return (self.zeros_conv("learn_top", h) if "learn_top.weight" in self.w else h).chunk(2, 1)

    def forward(self, x):
        eps = []
        for level in range(self.levels):
            x = squeeze(x)
            for step in range(self.depth):
                x = self.step(f"flow.layers.{level * (self.depth + 2) + 1 + step}", x)
            if level < self.levels - 1:
                x, z2 = x.chunk(2, 1)
                mean, logs = self.split_prior(level, x)
                eps.append((z2 - mean) / torch.exp(logs))
        mean, logs = self.top_prior(x)
        return [*eps, (x - mean) / torch.exp(logs)]

    def reverse(self, eps):
        mean, logs = self.top_prior(eps[-1])
        x = mean + torch.exp(logs) * eps[-1]
        for level in reversed(range(self.levels)):
            if level < self.levels - 1:
                mean, logs = self.split_prior(level, x)
                x = torch.cat([x, mean + torch.exp(logs) * eps[level]], 1)
            for step in reversed(range(self.depth)):
                x = self.step_reverse(f"flow.layers.{level * (self.depth + 2) + 1 + step}", x)
            x = unsqueeze(x)
        return x
