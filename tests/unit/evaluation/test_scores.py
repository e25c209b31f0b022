"""One protocol for all scores: 8-bit results, any bit depth of input, and the same noise for every model."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gkm.config import DPDNetConfig, ModelConfig
from gkm.data.dataset.pair import Pair
from gkm.errors import InputError
from gkm.evaluation import ImageScore, evaluate, mean_scores, restore_image, restorer, restoring, to_8bit, to_tensor
from gkm.networks import build, strips
from gkm.networks.gkmnet.gkmnet import GKMNet


def _pair(name: str = "lake", bits: int = 8, size: tuple[int, int] = (40, 33)) -> Pair:
    generator = np.random.default_rng(len(name))
    sharp = generator.integers(0, 256, (*size, 3), dtype=np.uint16)
    blurred = (sharp + np.roll(sharp, 1, 0) + np.roll(sharp, 1, 1)) // 3
    if bits == 8:
        return Pair("park", name, blurred.astype(np.uint8), sharp.astype(np.uint8))
    return Pair("park", name, blurred * 257, sharp * 257)


def _recorder(seen: list[Tensor]) -> Callable[[Tensor], Tensor]:
    def restore(blurred: Tensor) -> Tensor:
        seen.append(blurred.clone())
        return blurred

    return restore


class _Brighten(nn.Module):
    """Two outputs, coarse to fine, as GKMNet gives them."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, blurred: Tensor) -> list[Tensor]:
        assert not self.training
        return [blurred[:, :, ::2, ::2], blurred + self.by]


def test_no_model_scores_the_blurred_photograph_like_a_model_that_changes_nothing() -> None:
    pairs = [_pair("lake"), _pair("bridge")]
    scores = evaluate(None, pairs)
    assert scores == evaluate(lambda blurred: blurred, pairs)
    assert [(score.scene, score.name) for score in scores] == [("park", "lake"), ("park", "bridge")]
    assert all(5 < score.psnr < 40 and 0 < score.ssim < 1 and score.lpips is not None for score in scores)


def test_sixteen_bits_score_as_eight_when_the_picture_is_the_same() -> None:
    eight, sixteen = evaluate(None, [_pair()])[0], evaluate(None, [_pair(bits=16)])[0]
    assert sixteen.psnr == pytest.approx(eight.psnr, abs=1e-4)
    assert sixteen.ssim == pytest.approx(eight.ssim, abs=1e-5)


def test_the_restored_photograph_is_clamped_and_rounded_but_the_sharp_one_keeps_its_bits() -> None:
    sharp = np.full((40, 40, 3), 65535, np.uint16)
    pair = Pair("park", "snow", sharp, sharp)
    scores = evaluate(lambda blurred: blurred + 3.0, [pair], with_lpips=False)
    assert scores[0].psnr == float("inf")
    almost = evaluate(lambda blurred: blurred - 0.001, [pair], with_lpips=False)
    assert almost[0].psnr == float("inf")
    between = Pair("park", "snow", sharp, sharp - 128)  # half an 8-bit level below white
    assert evaluate(None, [between], with_lpips=False)[0].psnr == pytest.approx(54.15, abs=0.05)


def test_every_model_sees_the_same_noise_in_any_order() -> None:
    pairs = [_pair("lake"), _pair("bridge")]
    forward: list[Tensor] = []
    backward: list[Tensor] = []
    evaluate(_recorder(forward), pairs, noise_sigma_8bit=5, seed=7, with_lpips=False)
    evaluate(_recorder(backward), pairs[::-1], noise_sigma_8bit=5, seed=7, with_lpips=False)
    assert torch.equal(forward[0], backward[1])
    assert torch.equal(forward[1], backward[0])


def test_noise_has_the_stated_strength_and_differs_between_photographs_and_seeds() -> None:
    pairs = [_pair("lake", size=(64, 64)), _pair("moor", size=(64, 64))]
    noise = {}
    for seed in (0, 1):
        seen: list[Tensor] = []
        evaluate(_recorder(seen), pairs, noise_sigma_8bit=3, seed=seed, with_lpips=False)
        noise[seed] = [noisy - to_tensor(pair.blurred_HW3) for noisy, pair in zip(seen, pairs, strict=True)]
    assert noise[0][0].std().item() * 255 == pytest.approx(3, rel=0.05)
    assert not torch.allclose(noise[0][0], noise[0][1])
    assert not torch.allclose(noise[0][0], noise[1][0])


def test_noise_lowers_the_score() -> None:
    scores = [evaluate(None, [_pair()], noise_sigma_8bit=sigma, with_lpips=False)[0].psnr for sigma in (0, 5, 20)]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3


def test_a_result_that_is_no_picture_is_an_error_that_names_the_photograph() -> None:
    with pytest.raises(FloatingPointError, match="park/lake"):
        evaluate(lambda blurred: blurred * float("nan"), [_pair()])
    with pytest.raises(ValueError, match="park/lake"):
        evaluate(lambda blurred: blurred[..., 1:], [_pair()])


def test_mean_scores_leave_out_lpips_unless_all_have_it() -> None:
    first = ImageScore(scene="a", name="a", psnr=20, ssim=0.5, lpips=0.2)
    second = ImageScore(scene="b", name="b", psnr=30, ssim=0.7)
    assert mean_scores([first, second]) == {"psnr": 25, "ssim": pytest.approx(0.6)}
    assert mean_scores([first])["lpips"] == 0.2
    with pytest.raises(ValueError, match="no scores"):
        mean_scores([])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_restore_image_gives_eight_bits_of_the_same_size(dtype: type) -> None:
    photo = np.full((21, 34, 3), np.iinfo(dtype).max // 2, dtype)
    restored = restore_image(_Brighten(0.1), photo)
    assert restored.dtype == np.uint8
    assert restored.shape == photo.shape
    assert int(restored[0, 0, 0]) == pytest.approx(127 + 25.5, abs=1)
    assert int(restore_image(_Brighten(9.0), photo).min()) == 255


def test_restoring_leaves_the_models_mode_and_gradients_alone() -> None:
    model = _Brighten(0.1).train()
    assert not restorer(model)(torch.rand(1, 3, 20, 20)).requires_grad
    assert model.training


def test_a_photograph_survives_the_way_to_a_tensor_and_back() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (17, 19, 3), dtype=np.uint8)
    assert np.array_equal(to_8bit(to_tensor(photo)), photo)


def test_large_photographs_pass_in_strips_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    model = GKMNet(ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2)).train()
    photo = np.random.default_rng(0).integers(0, 256, (61, 83, 3), dtype=np.uint8)
    whole = restore_image(model, photo)
    taken = []
    restore = strips.restore
    monkeypatch.setattr(strips, "restore", lambda *given: (taken.append(1), restore(*given))[1])
    monkeypatch.setattr(restoring, "LARGE_PIXELS", 61 * 83 - 1)
    assert np.abs(restore_image(model, photo).astype(int) - whole).max() <= 1
    assert taken == [1]
    assert model.training


def _views(name: str = "lake") -> Pair:
    pair = _pair(name, size=(64, 64))
    sides = {"left_HW3": np.roll(pair.blurred_HW3, -1, 1), "right_HW3": np.roll(pair.blurred_HW3, 1, 1)}
    return Pair(pair.scene, pair.name, pair.blurred_HW3, pair.sharp_HW3, **sides)


def test_views_are_what_the_network_sees_and_the_photograph_is_what_it_is_compared_with() -> None:
    pair = _views()
    seen: list[Tensor] = []

    def middle(views: Tensor) -> Tensor:
        seen.append(views)
        return (views[:, :3] + views[:, 3:]) / 2

    (score,) = evaluate(middle, [pair], inputs=("left", "right"), with_lpips=False)
    assert torch.equal(seen[0], torch.cat([to_tensor(pair.left_HW3), to_tensor(pair.right_HW3)], dim=1))
    assert score.psnr != evaluate(None, [pair], with_lpips=False)[0].psnr
    assert evaluate(None, [pair], inputs=("left", "right"), with_lpips=False) == evaluate(
        None, [pair], with_lpips=False
    )
    with pytest.raises(InputError, match=r"park/lake: has no left view, which the network sees; .* with --views"):
        evaluate(middle, [_pair()], inputs=("left", "right"), with_lpips=False)


def test_each_view_has_noise_of_its_own() -> None:
    pair, seen = _views(), []
    evaluate(
        lambda x: (seen.append(x), x[:, :3])[1], [pair], inputs=("left", "right"), noise_sigma_8bit=3, with_lpips=False
    )
    noise = (seen[0] - torch.cat([to_tensor(pair.left_HW3), to_tensor(pair.right_HW3)], dim=1)) * 255
    assert [noise[:, first : first + 3].std().item() for first in (0, 3)] == pytest.approx([3, 3], rel=0.05)
    assert not torch.allclose(noise[:, :3], noise[:, 3:], atol=1)


def test_a_network_is_given_what_it_sees() -> None:
    pair, network = _views(), build(DPDNetConfig(width=2, depth=2, views="dual"))
    assert restore_image(network, *pair.seen(network.inputs)).shape == (64, 64, 3)
    with pytest.raises(InputError, match="sees its left and right views, but was given 1; give it 2"):
        restore_image(network, pair.blurred_HW3)
    with pytest.raises(InputError, match="the views are 64x64 and 60x64 pixels"):
        restore_image(network, pair.left_HW3, pair.right_HW3[:, :60])
    with pytest.raises(InputError, match="sees one photograph, but was given 2; give it 1"):
        restore_image(build(DPDNetConfig(width=2, depth=2)), *pair.seen(("left", "right")))
