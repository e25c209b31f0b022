"""PSNR, SSIM and LPIPS agree with their definitions, with scikit-image and with the published LPIPS examples."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from gkm import metrics
from gkm.errors import InputError


def _read(path: Path) -> torch.Tensor:
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def _textured_pair(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    sharp = torch.rand(1, 3, height, width, generator=generator)
    blurred = torch.nn.functional.avg_pool2d(sharp, 3, stride=1, padding=1, count_include_pad=False)
    return blurred, sharp


def _as_photo(image_1HW3: torch.Tensor) -> np.ndarray:
    return image_1HW3[0].permute(1, 2, 0).double().numpy()


def test_psnr_of_a_constant_error_is_its_definition() -> None:
    sharp = torch.full((2, 3, 8, 8), 0.5)
    restored = torch.stack([sharp[0] + 0.1, sharp[1] - 0.01])
    assert metrics.psnr(restored, sharp).tolist() == pytest.approx([20.0, 40.0], abs=1e-3)


def test_psnr_of_identical_images_is_infinite() -> None:
    sharp = torch.rand(1, 3, 8, 8)
    assert metrics.psnr(sharp, sharp).tolist() == [float("inf")]


def test_each_image_of_a_batch_has_its_own_value() -> None:
    blurred, sharp = _textured_pair(40, 48)
    restored = torch.cat([blurred, (blurred + sharp) / 2])
    targets = torch.cat([sharp, sharp])
    for metric in (metrics.psnr, metrics.ssim, metrics.lpips):
        together = metric(restored, targets)
        apart = [metric(restored[i : i + 1], targets[i : i + 1]).item() for i in range(2)]
        assert together.shape == (2,)
        assert together.tolist() == pytest.approx(apart, rel=1e-4)


@pytest.mark.parametrize("size", [(11, 11), (37, 64), (120, 53)])
def test_ssim_and_psnr_agree_with_scikit_image(size: tuple[int, int]) -> None:
    blurred, sharp = _textured_pair(*size)
    photo, reference = _as_photo(blurred), _as_photo(sharp)
    expected = structural_similarity(
        photo,
        reference,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=-1,
    )
    assert metrics.ssim(blurred, sharp).item() == pytest.approx(expected, abs=1e-6)
    expected = peak_signal_noise_ratio(reference, photo, data_range=1)
    assert metrics.psnr(blurred, sharp).item() == pytest.approx(expected, abs=1e-5)


def test_ssim_counts_windows_inside_the_image_only() -> None:
    """An error in the outermost pixel row reaches the first row of valid windows only, one of thirty."""
    sharp = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    spoilt = sharp.clone()
    spoilt[:, :, 0] = 0
    rows = torch.ones(30)
    rows[0] = metrics.ssim(spoilt[:, :, :11], sharp[:, :, :11])
    assert metrics.ssim(spoilt, sharp).item() == pytest.approx(rows.mean().item(), abs=1e-5)


def test_ssim_has_a_gradient_and_lpips_has_none() -> None:
    blurred, sharp = _textured_pair(40, 40)
    blurred.requires_grad_()
    metrics.ssim(blurred, sharp).sum().backward()
    assert blurred.grad is not None
    assert blurred.grad.abs().sum() > 0
    assert not metrics.lpips(blurred, sharp).requires_grad


@pytest.mark.parametrize(("name", "distance"), [("ex_p0.png", 0.722), ("ex_p1.png", 0.138)])
def test_lpips_gives_the_published_example_distances(shared_data: Path, name: str, distance: float) -> None:
    folder = shared_data / "lpips_reference"
    assert round(metrics.lpips(_read(folder / name), _read(folder / "ex_ref.png")).item(), 3) == distance


def test_lpips_of_identical_images_is_zero() -> None:
    sharp = torch.rand(1, 3, 45, 33)
    assert metrics.lpips(sharp, sharp).item() == 0


@pytest.mark.parametrize(("metric", "side"), [(metrics.ssim, 10), (metrics.lpips, 31)])
def test_images_too_small_for_a_metric_are_refused(metric: object, side: int) -> None:
    small = torch.rand(1, 3, side, 64)
    with pytest.raises(InputError, match=f"64 x {side} pixels is too small"):
        metric(small, small)  # type: ignore[operator]


def test_images_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        metrics.psnr(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 17))


def test_lpips_refuses_the_weights_of_another_network(tmp_path: Path) -> None:
    from gkm.lpips_weights import CONVOLUTIONS

    state = {}
    for index, (_, shape) in CONVOLUTIONS.items():
        state[f"features.{index}.weight"] = torch.randn(shape) * 0.02
        state[f"features.{index}.bias"] = torch.zeros(shape[0])
    torch.save(state, tmp_path / "alexnet.pth")
    image = torch.rand(1, 3, 32, 32)
    with pytest.raises(InputError, match=r"alexnet\.pth.*another network"):
        metrics.lpips(image, image, weights=tmp_path / "alexnet.pth")
