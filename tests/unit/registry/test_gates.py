"""The gates: what a file may say, and what passes them, with which figures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gkm.errors import InputError
from gkm.registry.clean_process import Clean
from gkm.registry.gates import Cost, Gates, Quality, Weights, read_gates
from gkm.registry.history import level_of
from gkm.registry.judging import Gate, difference, judge
from tests.unit.registry.measurements import GAINS, measured

DEFAULT = read_gates()


def failed(gates: Gates = DEFAULT, look: int = 1, **more: object) -> list[Gate]:
    return [gate for gate in judge(measured(**more), gates, [look]) if not gate.passed]  # type: ignore[arg-type]


def test_the_quick_study_passes_against_the_blurred_input() -> None:
    found = judge(measured(), DEFAULT, [1])
    assert [gate.name for gate in found] == [
        "PSNR on sample", "noise 1 on sample", "noise 3 on sample", "noise 5 on sample", "parameters",
        "multiply-adds per pixel", "seconds per megapixel", "memory", "git commit", "data", "seed", "hash",
        "clean process",
    ]  # fmt: skip
    assert all(gate.passed for gate in found)
    assert found[0].figures == (
        "+0.627 dB over the blurred input, 95 % interval +0.212 to +1.043 over 6 photographs; asked for: more than 0.05"
    )


@pytest.mark.parametrize(
    ("gains", "figures"),
    [
        ([-gain for gain in GAINS], "-0.627 dB over the blurred input, 95 % interval -1.043 to -0.212"),
        ([0.0] * 6, "+0.000 dB over the blurred input, 95 % interval +0.000 to +0.000"),
        ([0.04] * 6, "+0.040 dB over the blurred input, 95 % interval +0.040 to +0.040"),
        ([0.9, -0.3, 0.4, 0.8, -0.2, 0.5], "+0.350 dB over the blurred input, 95 % interval -0.176 to +0.876"),
        ([0.9], "+0.900 dB on one photograph, which allows no interval"),
    ],
)
def test_worse_equal_nearly_equal_and_uncertain_are_refused_with_their_figures(
    gains: list[float], figures: str
) -> None:
    (gate,) = failed(gains=gains)
    assert gate.name == "PSNR on sample"
    assert gate.figures.startswith(figures)


@pytest.mark.parametrize(
    ("more", "gate"),
    [
        ({"seconds_per_megapixel": 121.0}, Gate("seconds per megapixel", False, "121.00; asked for: at most 120.00")),
        ({"parameters": 50_000_001}, Gate("parameters", False, "50,000,001; asked for: at most 50,000,000")),
        (
            {"multiply_adds_per_pixel": 3e6},
            Gate("multiply-adds per pixel", False, "3,000,000; asked for: at most 2,000,000"),
        ),
        ({"clean": Clean(None, 17_000_000_000)}, Gate("memory", False, "17.00 GB; asked for: at most 16.00 GB")),
        ({"hashed": False}, Gate("hash", False, "the weights carry none: they were registered before")),
        ({"provenance": {"git_commit": "c", "seed": "0"}}, Gate("data", False, "not known")),
        (
            {"noisy": {1.0: (29.0, 28.0), 3.0: (28.0, 28.2), 5.0: (27.0, 27.0)}},
            Gate(
                "noise 3 on sample",
                False,
                "28.000 dB, the blurred input 28.200 dB: -0.200; asked for: -0.1 or more",
            ),
        ),
    ],
)
def test_better_but_too_slow_large_noisy_or_of_unknown_origin_is_refused(more: dict[str, object], gate: Gate) -> None:
    assert failed(**more) == [gate]


def test_other_pixels_in_a_clean_process_are_refused() -> None:
    (gate, memory) = reversed(failed(clean=Clean("gives other pixels (3 of 100)")))
    assert (gate.name, gate.figures) == ("clean process", "gives other pixels (3 of 100)")
    assert (memory.name, memory.figures) == ("memory", "not measured; asked for: at most 16.00 GB")


def test_every_data_set_has_to_pass() -> None:
    good, bad = measured().on[0], replace(measured(gains=[0.0] * 6).on[0], label="dpd")
    found = judge(measured(on=(good, bad)), DEFAULT, [1, 1])
    assert [gate.name for gate in found if not gate.passed] == ["PSNR on dpd"]


def test_scenes_are_averaged_where_there_are_enough_of_them() -> None:
    gains = [0.2, 0.4] * 6
    few = measured(gains=gains, scenes=tuple("aabbccddeeee")).on[0]
    assert difference(few, 1, 0.95).photographs == 12
    enough = measured(gains=gains, scenes=tuple("aabbccddeeff")).on[0]
    assert difference(enough, 1, 0.95).photographs == 6
    (gate,) = [g for g in judge(measured(on=(enough,)), DEFAULT, [1]) if g.name == "PSNR on sample"]
    assert "over 6 scenes" in gate.figures


def test_each_look_asks_for_more() -> None:
    assert failed(look=1) == []
    (gate,) = failed(look=3)
    assert "99.17 % interval -0.0" in gate.figures
    assert "look 3 at them" in gate.figures


@pytest.mark.parametrize(("photographs", "spread"), [(6, 0.4), (20, 0.3), (76, 0.3)])
def test_the_interval_holds_the_true_gain_in_95_of_100_test_sets(photographs: int, spread: float) -> None:
    generator = np.random.default_rng(photographs)
    held = 0
    for _ in range(1000):
        gains = generator.normal(0.3, spread, photographs)
        found = difference(measured(gains=list(gains)).on[0], 1, DEFAULT.quality.level)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.3 <= found.high
    assert held / 1000 == pytest.approx(0.95, abs=0.02)


@pytest.mark.slow
def test_looking_again_and_again_lets_no_more_than_5_in_100_registries_have_a_champion_that_is_no_better() -> None:
    """Ten candidates each that are no better, on the same photographs, some of which suit them all."""
    generator = np.random.default_rng(0)
    spent = every_time_95 = 0
    for _ in range(300):
        shared = generator.normal(0, 0.15, 8)
        bounds = []
        for look in range(1, 11):
            on = measured(gains=list(shared + generator.normal(0, 0.25, 8))).on[0]
            bounds.append([difference(on, k, 0.95).low or 0.0 for k in (look, 1)])
        spent += any(at_look > 0 for at_look, _ in bounds)
        every_time_95 += any(at_first > 0 for _, at_first in bounds)
    assert spent / 300 <= 0.05
    assert every_time_95 / 300 > 0.1  # what it would be without


def test_the_levels_spend_5_in_100_over_all_looks() -> None:
    tails = [(1 - level_of(look, 0.95)) / 2 for look in range(1, 10_001)]
    assert tails[0] == pytest.approx(0.025)
    assert sum(tails) == pytest.approx(0.05, abs=1e-5)
    assert sum(tails) < 0.05
    assert tails == sorted(tails, reverse=True)


def test_the_default_file_is_the_one_described() -> None:
    assert DEFAULT.quality == Quality(margin_db=0.05, level=0.95)
    assert DEFAULT.weights == Weights(hash=True, clean_process=True)


def test_what_a_file_leaves_out_is_not_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "gates.toml"
    path.write_text("[quality]\nmargin_db = 0\n[cost]\nmax_parameters = 7\n")
    gates = read_gates(path)
    assert gates == Gates(quality=Quality(margin_db=0.0), cost=Cost(max_parameters=7))
    found = judge(measured(clean=None), gates, [1])
    assert [(gate.name, gate.passed) for gate in found] == [("PSNR on sample", True), ("parameters", False)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[quality]\nmargin = 1", r"gates\.toml: quality\.margin is not known; there are margin_db, level; correct"),
        ("[speed]", r"gates\.toml: speed is not known; there are quality, noise, cost, provenance, weights"),
        ("[quality]\nmargin_db = -1.0", r"quality\.margin_db = -1\.0: input should be greater than or equal to 0"),
        ("[quality]\nmargin_db = '1'", r"quality\.margin_db = '1': input should be a valid number"),
        ("[provenance]\nknown = ['author']", r"provenance\.known\.0 = 'author': input should be 'git_commit', 'data'"),
        ("[cost]\nmax_memory_bytes = 5", r"cost\.max_memory_bytes is measured in the clean process: set weights\."),
        ("quality", r"gates\.toml: is no TOML .*; copy .*gates\.toml and change its figures"),
    ],
)
def test_a_file_that_says_something_else_is_refused_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "gates.toml").write_text(text)
    with pytest.raises(InputError, match=sentence) as refused:
        read_gates(tmp_path / "gates.toml")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: cannot be read \(No such file"):
        read_gates(tmp_path / "none.toml")
