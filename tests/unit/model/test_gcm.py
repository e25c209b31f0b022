"""The Gaussian convolution module and the weighted sum over its maps."""

import pytest
import torch
from torch.nn import functional

from gkm.config import ModelConfig
from gkm.model.gcm import STRIP_PIXELS, gaussian_convolution, weighted_sum
from gkm.model.kernels import gaussian_bank, official_bank


@pytest.mark.parametrize("gcm", ["fixed", "learned_gaussian"])
@pytest.mark.parametrize(("size", "count"), [(1, 1), (5, 3), (9, 12), (21, 21)])
def test_filters_each_channel_with_each_kernel(gcm, size, count):
    module = gaussian_convolution(ModelConfig(max_kernel_size=size, num_kernels=count, gcm=gcm))
    image = torch.rand(2, 3, 24, 31)
    z = module(image)
    kernels = gaussian_bank(size, count)[1]
    expected = torch.stack(
        [functional.conv2d(image, k.expand(3, 1, size, size), padding=size // 2, groups=3) for k in kernels], dim=1
    )
    torch.testing.assert_close(z, expected)


def test_constant_image_passes_unchanged_away_from_the_border():
    module = gaussian_convolution(ModelConfig())
    z = module(torch.full((1, 3, 64, 64), 0.7))
    torch.testing.assert_close(z[..., 10:-10, 10:-10], torch.full((1, 21, 3, 44, 44), 0.7))


def test_official_bank_deals_its_kernels_out_over_the_channels():
    z = gaussian_convolution(ModelConfig.official())(
        impulse := torch.zeros(1, 3, 21, 21).index_fill_(2, torch.tensor(10), 1)
    )
    assert impulse.sum() == 3 * 21
    kernels = official_bank(21).dense(21).float()
    for k in range(22):
        for channel in range(3):
            column = kernels[(22 * channel + k) // 3].sum(1)
            torch.testing.assert_close(z[0, k, channel, :, 10], column)


@pytest.mark.parametrize("config", [ModelConfig(max_kernel_size=9, num_kernels=5), ModelConfig.official()])
def test_strips_give_the_sum_over_the_whole_image(config):
    module = gaussian_convolution(config)
    height, width = 97, STRIP_PIXELS // 64
    image = torch.rand(1, 3, height, width)
    weights = [(torch.randn(1, config.num_kernels, height, width), torch.randn(3, config.num_kernels, 3)) for _ in "yx"]
    with torch.no_grad():
        torch.testing.assert_close(
            module.mix(image, *weights), weighted_sum(module(image), *weights), rtol=1e-4, atol=1e-4
        )


def test_weighted_sum_is_equation_9():
    z, gamma, omega = torch.rand(2, 4, 3, 5, 6), torch.rand(2, 4, 5, 6), torch.rand(3, 4, 3)
    expected = torch.einsum("dkc,bkhw,bkchw->bdhw", omega, gamma, z)
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
