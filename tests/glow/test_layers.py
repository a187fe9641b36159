"""Each layer inverts, and its log_det is that of its Jacobian."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from flowxfer.glow import GlowConfig
from flowxfer.glow.layers import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    InvertibleConv1x1,
    InvertibleConv1x1LU,
    Split,
    Squeeze,
    TopPrior,
)
from flowxfer.glow.model import Step
from flowxfer.glow.nets import CouplingNet, EdgeConv2d, NormalizedConv2d, edge_map
from tests.glow.random_glow import randomize

C, H, W = 4, 4, 6


class WholeSplit(nn.Module):
    """A split that returns its halves as one tensor."""

    def __init__(self, channels):
        super().__init__()
        self.split = Split(channels)

    def forward(self, x):
        x1, eps, log_det = self.split(x)
        return torch.cat([x1, eps], 1), log_det

    def inverse(self, y):
        return self.split.inverse(*y.chunk(2, 1))


LAYERS = {
    "Squeeze": Squeeze,
    "ActNorm": lambda: ActNorm(C),
    "InvertibleConv1x1": lambda: InvertibleConv1x1(C),
    "InvertibleConv1x1LU": lambda: InvertibleConv1x1LU(C),
    "AdditiveCoupling": lambda: AdditiveCoupling(C, 5),
    "AffineCoupling": lambda: AffineCoupling(C, 5),
    "Split": lambda: WholeSplit(C),
    "TopPrior": lambda: TopPrior(C),
    "Step-additive": lambda: Step(C, GlowConfig(width=5, coupling="additive")),
    "Step-affine-lu": lambda: Step(C, GlowConfig(width=5, coupling="affine", lu=True)),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    return randomize(LAYERS[request.param](), std=0.2).double()


@pytest.fixture
def x():
    return torch.randn(3, C, H, W, dtype=torch.float64)


# ---------------------------------------------------------------- laws


def test_inverse_undoes_forward(layer, x):
    y, _ = layer(x)
    assert y.shape == (x.shape if not isinstance(layer, Squeeze) else (3, 4 * C, H // 2, W // 2))
    torch.testing.assert_close(layer.inverse(y), x, rtol=0, atol=1e-12)


def test_forward_undoes_inverse(layer, x):
    if isinstance(layer, Squeeze):
        x = x.reshape(3, 4 * C, H // 2, W // 2)
    torch.testing.assert_close(layer(layer.inverse(x))[0], x, rtol=0, atol=1e-12)


def test_log_det_is_that_of_the_jacobian(layer, x):
    _, log_det = layer(x)
    assert log_det.shape == (3,)
    for sample, claimed in zip(x, log_det, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda s: layer(s[None])[0].flatten(), sample)
        expected = torch.linalg.slogdet(jacobian.reshape(sample.numel(), -1))[1]
        torch.testing.assert_close(claimed, expected, rtol=0, atol=1e-10)


def test_a_batch_is_its_samples_one_by_one(layer, x):
    y, log_det = layer(x)
    singles = [layer(sample[None]) for sample in x]
    torch.testing.assert_close(torch.cat([single[0] for single in singles]), y)
    torch.testing.assert_close(torch.cat([single[1] for single in singles]), log_det)


def test_layers_change_their_input(layer, x):
    y, _ = layer(x)
    assert not torch.allclose(y.flatten(), x.flatten())


# ---------------------------------------------------------------- ActNorm


def test_data_dependent_initialisation_gives_mean_0_and_variance_1(x):
    layer = ActNorm(C).double()
    layer.initializing = True
    y, _ = layer(5 * x + 3)
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(C, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(y.var((0, 2, 3), correction=0), torch.ones(C, dtype=torch.float64), rtol=0, atol=1e-5)


def test_initialisation_survives_a_constant_channel():
    layer = ActNorm(C)
    layer.initializing = True
    assert layer(torch.ones(2, C, H, W))[0].isfinite().all()


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_initialisation_normalises_a_convolution_with_its_edges(kernel_size, x):
    conv = randomize(NormalizedConv2d(C, 5, kernel_size)).double()
    conv.actnorm.initializing = True
    y = conv(x)
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(y.var((0, 2, 3), correction=0), torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-4)


# ---------------------------------------------------------------- 1x1 convolutions


def test_a_new_1x1_convolution_is_a_rotation():
    for layer in (InvertibleConv1x1(6), InvertibleConv1x1LU(6)):
        matrix = layer.matrix()
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(6), rtol=0, atol=1e-5)


def test_lu_computes_what_its_matrix_computes(x):
    factors = randomize(InvertibleConv1x1LU(C)).double()
    plain = InvertibleConv1x1(C).double()
    with torch.no_grad():
        plain.weight.copy_(factors.matrix())
    for ours, theirs in zip(factors(x), plain(x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_lu_trains_only_what_keeps_it_invertible(x):
    layer = randomize(InvertibleConv1x1LU(C)).double()
    before = layer.log_abs_det().item()
    with torch.no_grad():
        layer.lower += torch.triu(torch.ones(C, C))
        layer.upper += torch.tril(torch.ones(C, C))
    assert layer.log_abs_det().item() == before
    torch.testing.assert_close(torch.linalg.slogdet(layer.matrix())[1].item(), before)


# ---------------------------------------------------------------- squeeze and edges


def test_squeeze_puts_channel_c_and_offset_dy_dx_at_4c_2dy_dx():
    x = torch.arange(2 * 4 * 6.0).reshape(1, 2, 4, 6)
    y, _ = Squeeze()(x)
    for channel in range(2):
        for dy in range(2):
            for dx in range(2):
                assert (y[:, channel * 4 + dy * 2 + dx] == x[:, channel, dy::2, dx::2]).all()


def test_edge_weights_act_as_a_last_channel_that_is_1_on_the_padding(x):
    conv = randomize(EdgeConv2d(C, 5)).double()
    padded = torch.nn.functional.pad(x, [1, 1, 1, 1])
    ring = torch.ones(3, 1, H + 2, W + 2, dtype=torch.float64)
    ring[:, :, 1:-1, 1:-1] = 0
    weight = torch.cat([conv.weight, conv.edge], 1)
    y = torch.nn.functional.conv2d(torch.cat([padded, ring], 1), weight) + conv.bias[:, None, None]
    torch.testing.assert_close(conv(x), y * torch.exp(3 * conv.logs)[:, None, None], rtol=0, atol=1e-12)


def test_edge_map_is_zero_inside():
    field = edge_map(torch.ones(1, 1, 3, 3), 4, 6)[0, 0]
    assert (field[1:-1, 1:-1] == 0).all()
    assert field[0].tolist() == [5, 3, 3, 3, 3, 5]


# ---------------------------------------------------------------- precision


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_a_net_in_half_precision_returns_the_dtype_it_was_given(precision):
    net = randomize(CouplingNet(3, 8, 3))
    x = torch.randn(2, 3, 4, 6)
    exact = net(x)
    net.precision = precision
    rough = net(x)
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().max() < 0.05 * exact.abs().max()
