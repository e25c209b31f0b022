"""The iteration without learning: what it reaches when it knows the blur, and when there is none."""

import numpy as np
import pytest
import torch

from gkm.data.dataset.pair import Pair
from gkm.evaluation import evaluate, to_8bit, to_tensor
from gkm.evaluation.fixed_point import BANK, MOST_ITERATIONS
from gkm.networks.gkmnet.fixed_point import gkm_blur
from gkm.report.baseline import fixed_point_baseline


def _blocks(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(30, 226, (12, 16, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)


def _blurred_by(kernel: int, seed: int) -> Pair:
    sharp = _blocks(seed)
    beta = torch.zeros(1, len(BANK), *sharp.shape[:2])
    beta[:, kernel] = 1
    return Pair(f"scene {seed}", "a", to_8bit(gkm_blur(to_tensor(sharp), beta, BANK)), sharp)


def _baseline(test: list[Pair], validation: list[Pair]):
    return fixed_point_baseline(test, validation, device=torch.device("cpu"))  # type: ignore[arg-type]


@pytest.mark.parametrize("kernel", [4, 8])
def test_a_known_gaussian_blur_is_largely_undone(kernel: int) -> None:
    test, validation = [_blurred_by(kernel, 1), _blurred_by(kernel, 2)], [_blurred_by(kernel, 3)]
    baseline = _baseline(test, validation)
    assert 1 <= baseline.iterations <= MOST_ITERATIONS
    for before, after in zip(evaluate(None, test), baseline.scores, strict=True):
        assert (after.scene, after.name) == (before.scene, before.name)
        assert after.psnr > before.psnr + 1
        assert after.lpips is not None


def test_photographs_without_blur_are_left_alone() -> None:
    pair = Pair("a", "a", _blocks(1), _blocks(1))
    baseline = _baseline([pair], [pair])
    assert baseline.iterations == 0
    assert baseline.scores[0].psnr == float("inf")


def test_validation_photographs_alone_say_when_to_stop() -> None:
    untouched = Pair("a", "a", _blocks(1), _blocks(1))
    assert _baseline([_blurred_by(8, 1)], [untouched]).iterations == 0
