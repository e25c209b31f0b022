"""The classical iteration that the network unrolls: what it converges to, how fast, and when it does not."""

from itertools import pairwise

import pytest
import torch
from torch.nn import functional

from gkm.metrics import psnr
from gkm.networks.gkmnet.fixed_point import coefficients_of, eigenvalues, gkm_blur, iterates, oracle_coefficients, solve
from gkm.networks.gkmnet.gcm import FixedGaussians
from gkm.networks.gkmnet.kernels import paper_bank

BANK = paper_bank(9, 9)


def uniform(beta_K, height, width):
    return beta_K[None, :, None, None].expand(1, -1, height, width)


def one_kernel(index):
    return functional.one_hot(torch.tensor(index), len(BANK)).double()


def blocks(height, width):
    """Squares of 4 pixels in random colours: edges for a blur to soften."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, height // 4, width // 4, generator=generator, dtype=torch.float64)
    return coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)


def test_blur_is_the_mixture_of_the_networks_own_kernels():
    x = torch.rand(2, 3, 20, 31, dtype=torch.float64)
    beta = torch.rand(2, len(BANK), 20, 31, dtype=torch.float64)
    gcm = FixedGaussians(9, BANK, [list(range(9))] * 3).double()
    expected = (beta[:, None] * gcm(x)).sum(2)
    # The network's kernels are kept with 32 bits.
    torch.testing.assert_close(gkm_blur(x, beta, BANK, border="constant"), expected, rtol=0, atol=1e-6)


def test_error_of_every_frequency_falls_by_one_minus_its_eigenvalue():
    beta = one_kernel(3)
    rates = 1 - eigenvalues(beta, BANK, 32, 40)
    assert float(rates.min()) > -1e-12
    assert float(rates.max()) < 1
    sharp = torch.rand(1, 3, 32, 40, dtype=torch.float64)
    field = uniform(beta, 32, 40)
    y = gkm_blur(sharp, field, BANK, border="circular")
    errors = []
    for x, _ in zip(iterates(y, field, BANK, border="circular"), range(30), strict=False):
        errors.append(torch.fft.fft2(x - sharp))
    for before, after in pairwise(errors):
        torch.testing.assert_close(after, rates * before, rtol=1e-9, atol=1e-9)
        assert float(after.abs().square().sum()) < float(before.abs().square().sum())


def test_it_converges_to_the_sharp_image():
    sharp = blocks(32, 40)
    field = uniform(one_kernel(3), 32, 40)
    y = gkm_blur(sharp, field, BANK, border="circular")
    slowest = 1 - float(eigenvalues(one_kernel(3), BANK, 32, 40).min())
    restored = solve(y, field, BANK, 400, border="circular")
    assert float((restored - sharp).norm()) <= slowest**400 * float((y - sharp).norm()) + 1e-9
    assert float(psnr(restored, sharp)) > 45


def test_kernels_cut_off_early_have_eigenvalues_below_zero():
    """So the paper's condition does not hold for its wider kernels: errors at some frequencies grow, slowly."""
    smallest = [float(eigenvalues(one_kernel(index), BANK, 64, 64).min()) for index in range(len(BANK))]
    assert all(value > 0 for value in smallest[:5])
    assert all(-0.05 < value < 0 for value in smallest[5:])


def test_psnr_rises_with_a_blur_that_varies():
    sharp = blocks(64, 96)
    sigmas = torch.linspace(0, 2, 96, dtype=torch.float64).expand(1, 64, 96)
    beta = coefficients_of(sigmas, BANK)
    y = gkm_blur(sharp, beta, BANK)
    scores = [float(psnr(solve(y, beta, BANK, count).clamp(0, 1), sharp)) for count in (0, 1, 3, 10)]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0] + 3
    assert torch.equal(solve(y, beta, BANK, 0), y)


@pytest.mark.parametrize("size", [1, 3, 9])
def test_coefficients_give_the_variance_asked_for(size):
    bank = paper_bank(size, size)
    sigmas = torch.tensor([[[0.0, 0.3, 0.9, 1.234, 50.0]]], dtype=torch.float64)
    beta = coefficients_of(sigmas, bank)
    assert beta.shape == (1, size, 1, 5)
    torch.testing.assert_close(beta.sum(1), torch.ones(1, 1, 5, dtype=torch.float64))
    assert float(beta.min()) >= 0
    distance = torch.arange(size, dtype=torch.float64) - size // 2
    variances = (bank.dense(size).sum(1) * distance**2).sum(1)
    widest = float(variances.max())
    expected = (sigmas**2).clamp(max=widest)
    torch.testing.assert_close((beta * variances[None, :, None, None]).sum(1), expected)


def test_oracle_finds_the_kernel_of_every_place():
    sharp = blocks(64, 96)
    beta = torch.zeros(1, len(BANK), 64, 96, dtype=torch.float64)
    beta[:, 2, :, :48] = 1
    beta[:, 7, :, 48:] = 1
    found = oracle_coefficients(gkm_blur(sharp, beta, BANK), sharp, BANK)
    assert torch.equal(found.sum(1), torch.ones(1, 64, 96, dtype=torch.float64))
    right = (found == beta).all(1)[0]
    assert bool(right[:, :36].all())
    assert bool(right[:, 60:].all())
    assert torch.equal(oracle_coefficients(sharp, sharp, BANK)[:, 0], torch.ones(1, 64, 96, dtype=torch.float64))


def test_wrong_coefficients_and_counts_are_refused():
    y = torch.rand(1, 3, 16, 16)
    with pytest.raises(ValueError, match="needs \\[1, 9, 16, 16\\]"):
        gkm_blur(y, torch.rand(1, 8, 16, 16), BANK)
    with pytest.raises(ValueError, match="-1"):
        solve(y, torch.rand(1, 9, 16, 16), BANK, -1)
    with pytest.raises(ValueError, match="give partners"):
        oracle_coefficients(y, torch.rand(1, 3, 16, 17), BANK)
