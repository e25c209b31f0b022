"""Which of two is better: arms and trials of one study or of two, and pairs that mean nothing refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gkm.errors import InputError
from gkm.study.design.budget import Budget
from gkm.study.design.objective import PSNR
from gkm.study.insight.comparison import Side, compare, find_side
from gkm.study.record.archive import read_results
from gkm.study.record.record import RecordPlace, create_record
from tests.unit.study.archived import make_study

LOW = [[30.0, 31.0, 32.0], [30.1, 31.1, 32.0], [29.9, 31.0, 32.1]]
HIGH = [[score + 1 for score in scores] for scores in LOW]


@pytest.fixture
def find(tmp_path: Path) -> Callable[[str], Side]:
    place = RecordPlace(str(tmp_path))
    make_study(place, "one", {"low": LOW, "high": HIGH})
    make_study(place, "two", {"low": HIGH, "also": HIGH})
    make_study(place, "photos", {"low": LOW}, photographs=("a/1", "b/1", "d/1"))
    make_study(place, "data", {"low": LOW}, data="d2")
    create_record(
        place, "begun", objectives=(PSNR,), facts={"base": {}, "budget": Budget(2).to_json(), "folder": "/studies"}
    )
    return lambda text: find_side(text, lambda name: read_results(place, name))


@pytest.mark.parametrize(
    "pair", [("one:high", "one:low"), ("one:3", "one:low"), ("one:5", "one:0"), ("two:also", "one:low")]
)
def test_arms_and_trials_are_compared_over_all_their_seeds(find: Callable[[str], Side], pair: tuple[str, str]) -> None:
    found = compare(*map(find, pair))
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(1.0)
    assert (found.difference.seeds, found.difference.photographs) == (3, 3)
    assert (found.name, found.reference) == pair
    assert found.kind == "better"
    assert compare(*map(find, reversed(pair))).kind == "worse"


def test_a_study_alone_stands_for_its_winner(find: Callable[[str], Side]) -> None:
    found = compare(find("one"), find("one:low"))
    assert found.name == "one (high)"
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(1.0)
    assert "which flatters it" in found.notes[0]


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        (("one:low", "one:0"), "are the same runs"),
        (("one:low", "data:low"), r"data set differs \(d1 and d2\)"),
        (("one:low", "photos:low"), "different photographs"),
        (("one:low", "one:none"), "study one: has no arm or trial none; the arms are low, high"),
        (("one:low", "none"), "study none: is not on record"),
        (("one:low", "begun:0"), "study begun: has no arm or trial 0; there is no trial yet"),
    ],
)
def test_what_cannot_be_compared_is_refused(find: Callable[[str], Side], pair: tuple[str, str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        compare(*map(find, pair))
