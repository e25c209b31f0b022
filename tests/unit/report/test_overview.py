"""Studies side by side: winners, pairs that can be compared, reasons where they cannot, links to pages that exist."""

import dataclasses
import re
from pathlib import Path

import pytest

from gkm.errors import InputError
from gkm.report.overview import build_overview, versus
from gkm.study.record.results import StudyResults


def _named(study: StudyResults, name: str, **changes: object) -> StudyResults:
    return dataclasses.replace(study, name=name, record_id=name, **changes)  # type: ignore[arg-type]


def _words(page: Path, anchor: str) -> str:
    found = re.search(rf'<section id="{anchor}">.*?</section>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[0]))


def test_winners_stand_side_by_side_and_are_paired(
    confirmed: StudyResults, ablation: StudyResults, tmp_path: Path
) -> None:
    (tmp_path / "one.html").write_text("a page")
    pages = {"one": tmp_path / "one.html", "two": tmp_path / "missing.html"}
    out = build_overview([_named(confirmed, "one"), _named(ablation, "two")], tmp_path / "both.html", pages)
    words = _words(out, "studies")
    assert "one search, finished setting 2" in words
    assert "two ablation, finished more scales" in words
    text = out.read_text(encoding="utf-8")
    assert re.findall(r'href="([^"#]+\.html)"', text) == ["one.html"]
    assert "one two" in _words(out, "versus")


def test_better_and_worse_are_told_with_their_interval(ablation: StudyResults, tmp_path: Path) -> None:
    lower = tuple(
        dataclasses.replace(trial, photographs=trial.photographs and tuple(value - 0.4 for value in trial.photographs))
        for trial in ablation.trials
    )
    out = build_overview([_named(ablation, "high"), _named(ablation, "low", trials=lower)], tmp_path / "both.html")
    words = _words(out, "versus")
    assert "high low +0.40 better" in words
    assert "95 % interval" in words


def test_p_values_allow_for_the_number_of_pairs(ablation: StudyResults) -> None:
    studies = [_named(ablation, name) for name in ("a", "b", "c")]
    found = versus(studies)
    assert [(pair.one, pair.other) for pair in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert all(pair.comparison is not None and pair.comparison.adjusted_p is not None for pair in found)
    (alone,) = versus(studies[:2])
    assert alone.comparison is not None
    assert alone.comparison.adjusted_p is None


def test_studies_on_other_photographs_are_not_compared(confirmed: StudyResults, tmp_path: Path) -> None:
    other = _named(confirmed, "other", data_fingerprint="000000000000")
    out = build_overview([_named(confirmed, "one"), other], tmp_path / "both.html")
    assert "cannot be compared, since their data set differs" in _words(out, "versus")


def test_a_study_without_a_score_is_shown(study: StudyResults, confirmed: StudyResults, tmp_path: Path) -> None:
    empty = _named(study, "empty", trials=study.trials[7:])
    out = build_overview([_named(confirmed, "one"), empty], tmp_path / "both.html")
    assert "study empty: has no validated trial to compare" in _words(out, "versus")


def test_names_are_escaped(confirmed: StudyResults, tmp_path: Path) -> None:
    out = build_overview([_named(confirmed, "<i>x"), _named(confirmed, "two")], tmp_path / "both.html")
    assert "<i>x" not in out.read_text(encoding="utf-8")


def test_one_study_or_one_twice_is_refused(confirmed: StudyResults, tmp_path: Path) -> None:
    for studies in ([confirmed], [confirmed, confirmed]):
        with pytest.raises(InputError, match="two studies or more, each named once"):
            build_overview(studies, tmp_path / "out.html")
    assert list(tmp_path.iterdir()) == []
