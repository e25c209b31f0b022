"""sRGB and linear light; the disk of a point out of focus."""

import numpy as np
import pytest
import torch

from gkm.light import disk, from_linear, to_linear


@pytest.mark.parametrize("radius", [0.5, 1, 2.5, 4, 7.3])
def test_disk_has_the_radius_asked_for(radius):
    kernel = disk(radius)
    assert kernel.sum() == pytest.approx(1)
    assert kernel.max() == pytest.approx(1 / (np.pi * radius**2), rel=0.3 if radius < 1 else 0.01)
    offset = np.arange(len(kernel)) - len(kernel) // 2
    if radius >= 2:
        variance = (kernel * offset**2).sum()
        assert variance == pytest.approx(radius**2 / 4, rel=0.05)
    assert len(kernel) // 2 == np.ceil(radius - 0.5)
    assert np.array_equal(kernel, kernel.T)


def test_srgb_transfer_is_inverted():
    codes = np.arange(65536) / 65535
    assert np.allclose(from_linear(to_linear(codes)), codes, atol=1e-9)
    assert to_linear(np.array([0.5])) == pytest.approx([0.21404], abs=1e-5)


def test_tensors_have_the_light_that_arrays_have():
    codes = np.linspace(0, 1, 257)
    light = to_linear(torch.from_numpy(codes))
    assert np.allclose(light.numpy(), to_linear(codes), rtol=1e-14)
    assert np.allclose(from_linear(light).numpy(), codes, atol=1e-9)
