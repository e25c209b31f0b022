"""The Gaussian bank."""

import pytest
import torch

from gkm.networks.gkmnet.kernels import gaussian_bank, official_bank, paper_bank


def test_bank_of_21_is_the_papers():
    sigmas, kernels = gaussian_bank(21, 21)
    expected = [0.0]
    sizes = [1]
    for m in range(3, 22, 2):
        expected += [(m - 2) / 4, (m - 1) / 4]
        sizes += [m, m]
    torch.testing.assert_close(sigmas, torch.tensor(expected))
    extents = [int((kernel.sum(0) > 0).sum()) for kernel in kernels]
    assert extents == sizes
    assert kernels.shape == (21, 21, 21)


@pytest.mark.parametrize("max_kernel_size", [1, 5, 9, 21])
@pytest.mark.parametrize("num_kernels", [1, 3, 9, 24])
def test_kernels_sum_to_one_and_start_with_the_delta(max_kernel_size, num_kernels):
    sigmas, kernels = gaussian_bank(max_kernel_size, num_kernels)
    torch.testing.assert_close(kernels.sum((1, 2)), torch.ones(num_kernels))
    delta = torch.zeros(max_kernel_size, max_kernel_size)
    delta[max_kernel_size // 2, max_kernel_size // 2] = 1
    assert torch.equal(kernels[0], delta)
    assert sigmas[0] == 0
    assert num_kernels == 1 or sigmas[-1] == (max_kernel_size - 1) / 4
    assert all(size <= max_kernel_size for size in paper_bank(max_kernel_size, num_kernels).sizes_pixels)


def test_sigma_grows_with_the_kernels_measured_spread():
    _, kernels = gaussian_bank(21, 21)
    offsets = torch.arange(21.0) - 10
    spread = (kernels.sum(1) * offsets**2).sum(1).sqrt()
    assert (spread.diff() > 0).all()


def test_kernels_are_gaussian_and_isotropic():
    sigmas, kernels = gaussian_bank(21, 21)
    kernel, centre = kernels[15].double(), 10
    assert torch.equal(kernel, kernel.T)
    assert torch.equal(kernel, kernel.flip(0))
    ratio = kernel[centre, centre + 2] / kernel[centre, centre]
    assert ratio.log().item() == pytest.approx(-(2**2) / (2 * sigmas[15].item() ** 2), rel=1e-5)


def test_official_bank_has_one_kernel_more_with_other_sizes():
    bank = official_bank(21)
    assert bank.sigmas_pixels == (0.0, *(i / 4 for i in range(1, 22)))
    assert bank.sizes_pixels == (1, 3, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15, 17, 17, 19, 19, 21, 21)
