"""The Gaussian convolution module and the weighted sum over its maps."""

import pytest
import torch
from torch.nn import functional

from gkm.config import ModelConfig
from gkm.networks.gkmnet.gcm import gaussian_convolution
from gkm.networks.gkmnet.kernels import gaussian_bank, official_bank
from gkm.networks.ops.mixing import weighted_sum
from gkm.networks.ops.separable import WHOLE_ROW_PIXELS


@pytest.mark.parametrize("gcm", ["fixed", "learned_gaussian"])
@pytest.mark.parametrize(("size", "count"), [(1, 1), (5, 3), (9, 12), (21, 21)])
def test_filters_each_channel_with_each_kernel(gcm, size, count):
    module = gaussian_convolution(ModelConfig(max_kernel_size=size, num_kernels=count, gcm=gcm))
    image = torch.rand(2, 3, 24, 31)
    z = module(image)
    kernels = gaussian_bank(size, count)[1]
    expected = torch.stack(
        [functional.conv2d(image, k.expand(3, 1, size, size), padding=size // 2, groups=3) for k in kernels], dim=2
    )
    torch.testing.assert_close(z, expected)


def test_constant_image_passes_unchanged_away_from_the_border():
    module = gaussian_convolution(ModelConfig())
    z = module(torch.full((1, 3, 64, 64), 0.7))
    torch.testing.assert_close(z[..., 10:-10, 10:-10], torch.full((1, 3, 21, 44, 44), 0.7))


def test_official_bank_deals_its_kernels_out_over_the_channels():
    z = gaussian_convolution(ModelConfig.official())(
        impulse := torch.zeros(1, 3, 21, 21).index_fill_(2, torch.tensor(10), 1)
    )
    assert impulse.sum() == 3 * 21
    kernels = official_bank(21).dense(21).float()
    for k in range(22):
        for channel in range(3):
            column = kernels[(22 * channel + k) // 3].sum(1)
            torch.testing.assert_close(z[0, channel, k, :, 10], column)


@pytest.mark.parametrize("config", [ModelConfig(max_kernel_size=9, num_kernels=5), ModelConfig.official()])
@pytest.mark.parametrize("width", [20, WHOLE_ROW_PIXELS + 37])
def test_mixing_by_strips_equals_the_weighted_sum(config, width, monkeypatch):
    monkeypatch.setattr("gkm.networks.ops.mixing.STRIP_NUMBERS", 0)
    module = gaussian_convolution(config).double()
    image = torch.rand(2, 3, 27, width, dtype=torch.float64, requires_grad=True)
    shapes = (2, config.num_kernels, 27, width), (3, 3, config.num_kernels)
    weights = [tuple(torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes) for _ in "yx"]
    leaves = [image, *weights[0], *weights[1]]
    strips, whole = module.mix(image, *weights), weighted_sum(module(image), *weights)
    torch.testing.assert_close(strips, whole)
    upstream = torch.randn_like(whole)
    grads = torch.autograd.grad(strips, leaves, upstream)
    for ours, theirs in zip(grads, torch.autograd.grad(whole, leaves, upstream), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_weighted_sum_is_equation_9():
    z, gamma, omega = torch.rand(2, 3, 4, 5, 6), torch.rand(2, 4, 5, 6), torch.rand(3, 3, 4)
    expected = torch.einsum("dck,bkhw,bckhw->bdhw", omega, gamma, z)
    torch.testing.assert_close(weighted_sum(z, (gamma, omega)), expected)


def test_fixed_kernels_are_neither_trained_nor_saved():
    module = gaussian_convolution(ModelConfig())
    assert list(module.parameters()) == []
    assert module.state_dict() == {}
    assert all(not buffer.requires_grad for buffer in module.buffers())


def test_learned_kernels_start_from_the_bank_or_at_random():
    bank = gaussian_bank(9, 9)[1]
    start = gaussian_convolution(ModelConfig(max_kernel_size=9, num_kernels=9, gcm="learned_gaussian"))
    assert torch.equal(start.kernels, bank)
    random = gaussian_convolution(ModelConfig(max_kernel_size=9, num_kernels=9, gcm="learned_random"))
    assert random.kernels.shape == bank.shape
    assert not torch.allclose(random.kernels, bank, atol=1e-2)
    bound = (6 / (81 + 9 * 81)) ** 0.5
    assert random.kernels.abs().max() <= bound
