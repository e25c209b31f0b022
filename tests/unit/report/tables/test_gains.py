"""Differences on test photographs: paired, scene by scene, and told for better or worse."""

import dataclasses

import pytest
from scipy import stats

from gkm.evaluation import ImageScore
from gkm.report import TestScores
from gkm.report.tables.gains import against_baseline, interval_text, paired


def _scores(*psnr: float, scenes: str = "abcdef") -> list[ImageScore]:
    return [ImageScore(scene=s, name=f"{s}{i}", psnr=p, ssim=0.5) for i, (s, p) in enumerate(zip(scenes, psnr))]  # noqa: B905


def test_the_interval_is_students_over_photographs() -> None:
    before, after = (20.0, 25.0, 30.0, 22.0), (20.9, 25.4, 30.6, 22.2)
    found = paired("psnr", _scores(*before), _scores(*after))
    gains = [b - a for a, b in zip(before, after, strict=True)]
    known = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((known.low, known.high))
    assert interval_text("psnr", found) == f"95 % interval +{known.low:.2f} to +{known.high:.2f}"


def test_photographs_of_one_scene_count_once_where_there_are_several() -> None:
    found = paired("psnr", _scores(*[20] * 7, scenes="aabcdef"), _scores(21, 23, *[24] * 5, scenes="aabcdef"))
    assert found is not None
    assert found.mean == pytest.approx((2 + 5 * 4) / 6)
    assert found.photographs == 6


def test_few_scenes_are_compared_by_their_photographs() -> None:
    found = paired("psnr", _scores(20, 20, 20, scenes="aab"), _scores(21, 23, 24, scenes="aab"))
    assert found is not None
    assert found.photographs == 3


def test_what_cannot_be_had_has_no_interval() -> None:
    assert paired("lpips", _scores(20, 21), _scores(21, 22)) is None
    assert paired("psnr", _scores(20, float("inf")), _scores(21, 22)) is None
    assert interval_text("psnr", None) == ""
    assert interval_text("psnr", paired("psnr", _scores(20), _scores(21))) == ""


def test_a_method_without_learning_that_wins_is_told(tests: TestScores) -> None:
    assert tests.baseline is not None
    better = [dataclasses.replace(s, psnr=s.psnr - 0.2, ssim=s.ssim + 0.05, lpips=s.lpips) for s in tests.restored]
    shown = dataclasses.replace(tests, baseline=dataclasses.replace(tests.baseline, scores=better))
    sentence = against_baseline(shown)
    assert "better in PSNR (+0.20 dB), worse in SSIM (−0.050), the same in LPIPS (±0.000" in sentence
    assert against_baseline(dataclasses.replace(tests, baseline=None)) == ""


def test_a_difference_that_chance_explains_is_marked(tests: TestScores) -> None:
    assert tests.baseline is not None
    shifts = (1.0, -0.9, 0.2)
    scores = [dataclasses.replace(s, psnr=s.psnr - shift) for s, shift in zip(tests.restored, shifts, strict=True)]
    sentence = against_baseline(dataclasses.replace(tests, baseline=dataclasses.replace(tests.baseline, scores=scores)))
    assert "better in PSNR (+0.10 dB, within chance)" in sentence
