"""Protocols: what each changes, and that their figures are scikit-image's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from gkm.data.dataset.pair import Pair
from gkm.data.photos import read_rgb
from gkm.errors import InputError
from gkm.evaluation import GKM, PROTOCOLS, Protocol, evaluate, find_protocol


def _pair(size: tuple[int, int] = (45, 59)) -> Pair:
    """Sixteen bits, of sizes that are no multiples of anything."""
    generator = np.random.default_rng(3)
    sharp = generator.integers(0, 65536, (*size, 3), dtype=np.uint16)
    blurred = ((sharp.astype(np.uint32) + np.roll(sharp, 1, 0) + np.roll(sharp, 1, 1)) // 3).astype(np.uint16)
    return Pair("park", "lake", blurred, sharp)


def _real(shared_data: Path) -> Pair:
    folder, name = shared_data / "dpd_sample" / "test_c", "1P0A2003.png"
    return Pair("dpd", name, read_rgb(folder / "source" / name), read_rgb(folder / "target" / name))


def _by_scikit_image(pair: Pair, protocol: Protocol) -> tuple[float, float]:
    """PSNR and SSIM of the blurred photograph as scikit-image has them, with the protocol's choices spelt out here."""
    levels = np.iinfo(pair.sharp_HW3.dtype).max
    blurred, sharp = (photo.astype(np.float64) / levels for photo in (pair.blurred_HW3, pair.sharp_HW3))
    if protocol.name in ("release", "ifan"):
        blurred, sharp = (np.round(photo * 255) / 255 for photo in (blurred, sharp))
    if protocol.name == "ifan":
        height, width = (side - side % 8 for side in sharp.shape[:2])
        blurred, sharp = blurred[:height, :width], sharp[:height, :width]
    if protocol.name == "gkm":
        blurred = np.round(blurred * 255) / 255
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    window = {} if protocol.name == "ifan" else gaussian
    ssim = structural_similarity(blurred, sharp, data_range=1, channel_axis=-1, **window)
    return peak_signal_noise_ratio(sharp, blurred, data_range=1), ssim


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda one: one.name)
def test_psnr_and_ssim_are_those_of_scikit_image(protocol: Protocol) -> None:
    (score,) = evaluate(None, [_pair()], with_lpips=False, protocol=protocol)
    assert (score.psnr, score.ssim) == pytest.approx(_by_scikit_image(_pair(), protocol), abs=1e-4)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda one: one.name)
def test_so_they_are_on_a_real_photograph(protocol: Protocol, shared_data: Path) -> None:
    pair = _real(shared_data)
    (score,) = evaluate(None, [pair], with_lpips=False, protocol=protocol)
    assert (score.psnr, score.ssim) == pytest.approx(_by_scikit_image(pair, protocol), abs=1e-4)


def test_bits_and_rounding_are_the_protocols() -> None:
    white = np.full((40, 40, 3), 65535, np.uint16)
    pair = Pair("park", "snow", white, white)
    darker = {
        name: evaluate(lambda x: x - 0.001, [pair], with_lpips=False, protocol=protocol)[0].psnr
        for name, protocol in PROTOCOLS.items()
    }
    assert darker["gkm"] == darker["release"] == float("inf")
    assert darker["paper"] == darker["ifan"] == pytest.approx(60, abs=0.01)


def test_the_release_cuts_nothing_off_before_ssim() -> None:
    white = np.full((40, 40, 3), 255, np.uint8)
    pair = Pair("park", "snow", white, white)
    over = {
        name: evaluate(lambda x: x + 0.2, [pair], with_lpips=False, protocol=protocol)[0]
        for name, protocol in PROTOCOLS.items()
    }
    assert {name for name, score in over.items() if score.psnr != float("inf")} == set()
    assert {name for name, score in over.items() if score.ssim < 1} == {"release"}


def test_lpips_on_its_wrong_range_is_another_figure() -> None:
    scores = {name: evaluate(None, [_pair()], protocol=protocol)[0].lpips for name, protocol in PROTOCOLS.items()}
    assert scores["gkm"] == pytest.approx(scores["paper"], rel=0.01)
    assert scores["release"] != pytest.approx(scores["gkm"], rel=0.05)


def test_sizes_are_cut_before_the_network_sees_them() -> None:
    seen: list[torch.Tensor] = []
    evaluate(lambda x: (seen.append(x), x)[1], [_pair()], with_lpips=False, protocol=PROTOCOLS["ifan"])
    assert seen[0].shape == (1, 3, 40, 56)
    assert torch.equal(seen[0] * 255, (seen[0] * 255).round())


def test_a_border_is_left_out_of_every_metric() -> None:
    pair = _pair((60, 70))
    inner = Pair("park", "lake", pair.blurred_HW3[8:-8, 8:-8], pair.sharp_HW3[8:-8, 8:-8])
    assert evaluate(None, [pair], protocol=replace(GKM, border_pixels=8)) == evaluate(None, [inner])


def test_an_unknown_protocol_is_named_with_those_there_are() -> None:
    assert find_protocol("gkm").name == "gkm"
    with pytest.raises(InputError, match="psnr9: there is no such protocol; choose from gkm, paper, release, ifan"):
        find_protocol("psnr9")
