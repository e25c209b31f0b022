"""Both stages on a photograph that a simulated lens defocuses by a known map."""

from functools import cache

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from gkm.classical import METHODS, restore, restore_by_map, sigma_map
from gkm.data.simulation.defocus import Lens, defocus
from gkm.errors import InputError
from gkm.evaluation import two_stage_restorer


@cache
def defocused() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photograph of ground that recedes, the same in focus at its lower edge, and its true map."""
    sharp_HW3 = np.ascontiguousarray(astronaut()[:320, 60:380])
    closeness_HW = np.linspace(0, 1, 320)[:, None] * np.ones((1, 320))
    lens = Lens(focal_length_mm=50, f_number=1.4, focus_metres=1.0)
    depth_HW = 1 / (1 / 8 + closeness_HW * (1 - 1 / 8))
    sigmas_HW = np.abs(lens.radius_pixels(depth_HW, 320)) / 2
    blurred_HW3 = defocus(sharp_HW3, depth_HW, lens, "gaussian")
    return (sharp_HW3 / 255).astype(np.float32), (blurred_HW3 / 255).astype(np.float32), sigmas_HW.astype(np.float32)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((one - other) ** 2)))


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.key)
def test_maps_are_nearer_to_the_truth_than_half_of_what_a_constant_is(method) -> None:
    _, blurred_HW3, true_HW = defocused()
    found_HW = sigma_map(method, blurred_HW3)
    assert found_HW.dtype == np.float32
    assert np.abs(found_HW - true_HW).mean() < np.abs(true_HW - true_HW.mean()).mean() / 2
    sharper, blurrier = found_HW[-80:].mean(), found_HW[:80].mean()
    assert sharper < 1.1
    assert blurrier > 1.8


def test_the_true_map_brings_the_photograph_nearer_to_the_sharp_one() -> None:
    sharp_HW3, blurred_HW3, true_HW = defocused()
    restored_HW3 = restore_by_map(blurred_HW3, true_HW)
    assert psnr(restored_HW3, sharp_HW3) > psnr(blurred_HW3, sharp_HW3) + 1
    wrong_HW3 = restore_by_map(blurred_HW3, true_HW[::-1])
    assert psnr(wrong_HW3, sharp_HW3) < psnr(restored_HW3, sharp_HW3) - 1


@pytest.mark.parametrize("key", METHODS)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 64)])
def test_small_noisy_and_empty_photographs_give_pictures(key: str, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    noisy_13HW = torch.rand(1, 3, height, width, generator=generator) * 1.4 - 0.2
    for given_13HW in (noisy_13HW, torch.zeros(1, 3, height, width), torch.ones(1, 3, height, width)):
        restored_13HW = two_stage_restorer(key)(given_13HW)
        assert restored_13HW.shape == given_13HW.shape
        assert restored_13HW.dtype == torch.float32
        assert 0 <= restored_13HW.min() <= restored_13HW.max() <= 1
    torch.testing.assert_close(restored_13HW, given_13HW, rtol=0, atol=1e-3)


def test_a_restorer_gives_the_methods_own_pixels_twice_the_same() -> None:
    _, blurred_HW3, _ = defocused()
    small_HW3 = blurred_HW3[100:180, 100:200]
    given_13HW = torch.from_numpy(np.ascontiguousarray(small_HW3.transpose(2, 0, 1)))[None]
    once, again = (two_stage_restorer("ebdb")(given_13HW) for _ in range(2))
    assert torch.equal(once, again)
    np.testing.assert_array_equal(once[0].permute(1, 2, 0).numpy(), restore(METHODS["ebdb"], small_HW3))


def test_other_names_are_refused() -> None:
    with pytest.raises(InputError, match=r"wiener: is no method; choose from .*ebdb"):
        two_stage_restorer("wiener")
