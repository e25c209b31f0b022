"""Noise of the asked strength, seeded."""

import pytest
import torch

from gkm.data.reading.noise import add_noise


def _generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sigma", [1.0, 3.0, 5.0])
def test_sigma_is_in_8_bit_units(sigma):
    image = torch.full((2, 3, 100, 100), 0.5)
    noise = (add_noise(image, sigma, _generator(0)) - image) * 255
    assert noise.std().item() == pytest.approx(sigma, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.05)


def test_seed_decides_and_nothing_is_clamped():
    image = torch.ones(3, 50, 50)
    noisy = add_noise(image, 5, _generator(1))
    assert torch.equal(noisy, add_noise(image, 5, _generator(1)))
    assert not torch.equal(noisy, add_noise(image, 5, _generator(2)))
    assert 0.4 < (noisy > 1).float().mean() < 0.6


def test_no_noise_leaves_image_and_generator_alone():
    image, generator = torch.rand(3, 4, 4), _generator(1)
    before = generator.get_state()
    assert torch.equal(add_noise(image, 0, generator), image)
    assert torch.equal(generator.get_state(), before)
