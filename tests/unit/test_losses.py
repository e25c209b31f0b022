"""The multi-scale loss and the schedules."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from gkm.config import OptimConfig
from gkm.losses import cost_name, fourier_l1, learning_rate_at, multi_scale_loss, shrink_to, ssim_loss
from gkm.networks.ops.pyramid import pyramid


def runs(schedule, epochs):
    """The schedule as (cost, epochs in a row) pairs."""
    result = []
    for epoch in range(epochs):
        cost = cost_name(schedule, epoch, epochs)
        if result and result[-1][0] == cost:
            result[-1][1] += 1
        else:
            result.append([cost, 1])
    return [tuple(run) for run in result]


def test_paper_schedule_in_the_papers_own_length():
    alternating = [("ssim", 500), ("l2", 500), ("ssim", 500), ("l2", 500)]
    assert runs("paper", 3000) == [("l2", 1000), *alternating]


def test_release_schedule_in_the_releases_own_length():
    assert runs("release", 4000)[:3] == [("l2", 1000), ("ssim", 100), ("l2", 100)]
    assert runs("release", 4000)[-1] == ("l2", 100)


@pytest.mark.parametrize("epochs", [1, 2, 5, 6, 7, 12, 31])
def test_schedules_keep_their_shape_at_any_length(epochs):
    costs = [cost_name("paper", epoch, epochs) for epoch in range(epochs)]
    assert costs[0] == "l2"
    assert costs.count("ssim") == pytest.approx(epochs / 3, abs=1)
    assert {cost_name("l2", epoch, epochs) for epoch in range(epochs)} == {"l2"}
    assert {cost_name("ssim", epoch, epochs) for epoch in range(epochs)} == {"ssim"}


def test_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="cosine"):
        cost_name("cosine", 0, 1)


def test_learning_rate_drops_for_the_last_third():
    optim = OptimConfig(learning_rate=1e-4)
    rates = [learning_rate_at(optim, epoch, 3000) for epoch in (0, 1999, 2000, 2999)]
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5])


def test_learning_rate_drops_several_times_at_equal_distances():
    optim = OptimConfig(learning_rate=1.0, decay_factor=0.5, decay_after=0.4, decays=3)
    assert [learning_rate_at(optim, epoch, 5) for epoch in range(5)] == [1.0, 1.0, 0.5, 0.25, 0.125]


def test_learning_rate_warms_up_and_falls_along_a_cosine():
    optim = OptimConfig(learning_rate=1.0, schedule="cosine", decay_factor=0.2, warmup_epochs=3)
    rates = [learning_rate_at(optim, epoch, 8) for epoch in range(8)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[5] == pytest.approx(0.6), "half-way, in the middle between 1 and 0.2"
    assert rates[7] == pytest.approx(0.2)
    assert rates[3:] == sorted(rates[3:], reverse=True)


@pytest.mark.parametrize(("epochs", "warmup"), [(1, 0), (1, 1), (3, 3), (2, 9)])
def test_short_runs_have_a_learning_rate(epochs, warmup):
    optim = OptimConfig(schedule="cosine", warmup_epochs=warmup)
    assert all(0 < learning_rate_at(optim, epoch, epochs) <= optim.learning_rate for epoch in range(epochs))


def test_l2_loss_is_the_sum_over_scales():
    sharp = torch.rand(2, 3, 32, 48)
    outputs = pyramid(sharp, 3)
    assert multi_scale_loss(outputs, sharp, "l2") == pytest.approx(0, abs=1e-12)
    shifted = [output + 0.1 for output in outputs]
    assert multi_scale_loss(shifted, sharp, "l2").item() == pytest.approx(3 * 0.01, rel=1e-4)


@pytest.mark.parametrize("cost", ["l2", "ssim"])
def test_a_fourier_term_is_added_at_every_scale(cost):
    sharp, outputs = torch.rand(2, 3, 32, 48), [torch.rand(2, 3, side, side * 3 // 2) for side in (8, 16, 32)]
    terms = sum(fourier_l1(output, shrink_to(sharp, output)) for output in outputs)
    assert terms > 1, "transforms are not normed"
    plain = multi_scale_loss(outputs, sharp, cost)
    assert torch.equal(multi_scale_loss(outputs, sharp, cost, fourier_weight=0.0), plain)
    torch.testing.assert_close(multi_scale_loss(outputs, sharp, cost, fourier_weight=0.1), plain + 0.1 * terms)


def test_sharp_image_is_shrunk_as_the_networks_pyramid_is():
    sharp = torch.rand(1, 3, 97, 131)
    for scale, y in enumerate(pyramid(sharp, 4)):
        shrink = 2 ** (3 - scale)
        rows, columns = -(-97 // shrink), -(-131 // shrink)
        small = shrink_to(sharp, torch.empty(1, 3, rows, columns))
        assert small.shape[-2:] == (rows, columns)
        torch.testing.assert_close(small[..., :-2, :-2], y[..., : rows - 2, : columns - 2])


def test_ssim_loss_is_that_of_scikit_image():
    a, b = torch.rand(1, 3, 40, 56, dtype=torch.float64), torch.rand(1, 3, 40, 56, dtype=torch.float64)
    b = 0.7 * a + 0.3 * b
    reference = np.mean(
        [
            structural_similarity(
                x.numpy(), y.numpy(), data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
            )
            for x, y in zip(a[0], b[0], strict=True)
        ]
    )
    assert ssim_loss(a, b).item() == pytest.approx(1 - reference, abs=1e-9)


@pytest.mark.parametrize("side", [1, 2, 7, 8, 16])
def test_ssim_loss_suits_small_scales(side):
    image = torch.rand(1, 3, side, side + 3, requires_grad=True)
    loss = ssim_loss(image, torch.rand(1, 3, side, side + 3))
    loss.backward()
    assert 0 < loss < 2
    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert ssim_loss(image, image).item() == pytest.approx(0, abs=1e-6)


def test_loss_keeps_its_precision_beside_a_16_bit_network():
    sharp = torch.rand(1, 3, 32, 32)
    outputs = [output + 0.01 for output in pyramid(sharp, 2)]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = multi_scale_loss(outputs, sharp, "ssim")
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(multi_scale_loss(outputs, sharp, "ssim").item(), rel=1e-6)
