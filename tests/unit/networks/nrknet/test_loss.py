"""NRKNet's costs and the authors' schedule."""

import pytest
import torch

from gkm.losses import fourier_l1, squared_l2, ssim_loss
from gkm.networks.nrknet.loss import (
    cost_name,
    learning_rate_factor,
    reblurring_cost,
    restoration_cost,
    shrunk,
)


def flat_outputs(*values):
    """Results of 8, 16 and 32 pixels, and a final one of 32, each of one value."""
    return [torch.full((1, 3, side, side), value) for side, value in zip((8, 16, 32, 32), values, strict=True)]


def test_scales_weigh_more_from_coarse_to_fine():
    sharp = torch.zeros(1, 3, 32, 32)
    for place, weight in enumerate((0.25, 0.5, 0.75, 1.0)):
        values = [0.0] * 4
        values[place] = 0.2
        cost = restoration_cost(flat_outputs(*values), sharp, squared_l2, fourier_weight=0)
        assert cost.item() == pytest.approx(weight * 0.04)
        if place < 3:
            reblurred = flat_outputs(*values)[:3]
            assert reblurring_cost(reblurred, sharp).item() == pytest.approx(weight * 0.04)


def test_fourier_term_is_of_real_and_imaginary_parts():
    impulse = torch.zeros(1, 1, 4, 4)
    impulse[..., 0, 0] = 0.5  # transform: 0.5 everywhere, all real
    assert fourier_l1(impulse, torch.zeros(1, 1, 4, 4)).item() == pytest.approx(0.5)
    shifted = torch.zeros(1, 1, 4, 4)
    shifted[..., 1, 0] = 0.5  # 0.5 (1, -i, -1, i): either real or imaginary
    assert fourier_l1(shifted, torch.zeros(1, 1, 4, 4)).item() == pytest.approx(0.5)
    sharp = torch.zeros(1, 3, 4, 4)
    output = impulse.expand(1, 3, 4, 4)
    both = restoration_cost([output], sharp, squared_l2)
    assert both.item() == pytest.approx(0.25 / 16 + 0.1 * 0.5)


def test_the_cost_of_a_pair_can_be_ssim():
    image = torch.rand(1, 3, 32, 32)
    assert restoration_cost([image], image, ssim_loss).item() == pytest.approx(0, abs=1e-6)
    assert restoration_cost([1 - image], image, ssim_loss, fourier_weight=0).item() > 0.5


def test_sharp_image_is_shrunk_in_one_step():
    image = torch.rand(1, 3, 10, 13)
    quarter = shrunk(image, torch.empty(1, 3, 3, 4))
    assert quarter.shape == (1, 3, 3, 4)
    assert torch.allclose(quarter[..., 0, 1], image[..., 1:3, 5:7].mean((-2, -1)))
    assert shrunk(image, image) is image


def test_schedule_is_the_authors():
    names = [cost_name(epoch, 5000) for epoch in range(5000)]
    assert set(names[:1100]) == {"l2"}
    assert names[1100:1300] == ["ssim"] * 100 + ["l2"] * 100
    assert names[4900:] == ["ssim"] * 100
    factors = [learning_rate_factor(epoch, 5000) for epoch in (0, 1999, 2000, 3000, 4000, 4999)]
    assert factors == [1, 1, 0.5, 0.25, 0.1, 0.1]
