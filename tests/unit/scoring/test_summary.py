"""Means, paired intervals, and what a network takes at the photographs' size."""

import pytest
from scipy import stats

from gkm.networks import measure
from gkm.scoring.cells import Cell, Place
from gkm.scoring.rows import Block, Row
from gkm.scoring.subjects import BLURRED
from gkm.scoring.summary import summarise
from tests.unit.scoring.small import small_network, subject_of


def _block(*psnrs: float, seconds: float | None = None) -> Block:
    rows = [
        Row(scene="s", name=str(i), height=72, width=96, psnr=psnr, ssim=psnr / 50, lpips=1 / psnr, seconds=seconds)
        for i, psnr in enumerate(psnrs)
    ]
    return Block(tuple(rows), "cpu", 0)


def test_gains_are_paired_over_photographs(tiny: Place) -> None:
    before, after = (20.0, 30.0, 25.0), (21.0, 30.5, 26.5)
    cells = [Cell(BLURRED, tiny, 0.0), Cell(subject_of(small_network()), tiny, 0.0)]
    blurred, restored = summarise(
        cells, [_block(*before), _block(*after, seconds=0.5)], {"small\ntiny": "the same data"}
    )
    expected = stats.ttest_rel(after, before).confidence_interval(0.95)
    gain = restored.gains["psnr"]
    assert (gain.mean, gain.low, gain.high) == pytest.approx((1.0, expected.low, expected.high))
    assert blurred.gains == {}
    assert (blurred.means["psnr"], restored.seconds, restored.trained_on) == (25.0, 0.5, "the same data")


def test_one_photograph_has_no_interval_and_an_infinite_score_no_gain(tiny: Place) -> None:
    cells = [Cell(BLURRED, tiny, 0.0), Cell(subject_of(small_network()), tiny, 0.0)]
    _, alone = summarise(cells, [_block(20), _block(21)], {})
    assert (alone.gains["psnr"].mean, alone.gains["psnr"].low) == (1.0, None)
    _, perfect = summarise(cells, [_block(20, 30), _block(21, float("inf"))], {})
    assert "psnr" not in perfect.gains
    assert perfect.means["psnr"] == float("inf")


def test_complexity_is_that_of_a_photograph_of_their_size(tiny: Place) -> None:
    network = small_network()
    cells = [Cell(BLURRED, tiny, 0.0), Cell(subject_of(network), tiny, 0.0)]
    blurred, restored = summarise(cells, [_block(20, 30), _block(21, 31)], {})
    assert blurred.complexity is None
    assert restored.complexity == measure(network, 72, 96)
