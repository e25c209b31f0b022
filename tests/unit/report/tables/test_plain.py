"""Tables beside the page: the page's figures, in forms that other programs read."""

import csv
import io
import re
from pathlib import Path

import pytest

from gkm.report import TestScores
from gkm.report.tables.plain import Table, latex, markdown, noise_on_page, scores_csv, study_tables, write_tables
from gkm.study.record.results import StudyResults


def test_three_files_lie_beside_the_page(study: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    written = write_tables(study, tests, str(tmp_path / "quick.v1.html"))
    assert written == [str(tmp_path / f"quick.v1{ending}") for ending in (".md", ".tex", ".csv")]
    text = Path(written[0]).read_text(encoding="utf-8")
    assert text.startswith("# quick\n\nTrial 0, the best on validation, raises")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Test photographs", "Against the iteration without learning", "Noise", "Trials"
    ]  # fmt: skip


def test_a_table_of_markdown_has_as_many_cells_in_every_line(study: StudyResults, tests: TestScores) -> None:
    for table in study_tables(study, tests):
        lines = [line for line in markdown(table).splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
        assert len(lines) == len(table.rows) + 2


def test_an_ablation_has_its_verdicts(ablation: StudyResults, tests: TestScores) -> None:
    arms = study_tables(ablation, tests)[0]
    assert arms.title == "Arms"
    assert any("worse by" in row[3] for row in arms.rows)


def test_names_are_no_markup() -> None:
    hostile = Table("50 % of a_b", ["x | y", "<b>"], [["a|b", r"$\alpha$ & #1 ~ ^ {}"]])
    assert r"| a\|b |" in markdown(hostile)
    assert r"\<b\>" in markdown(hostile)
    text = latex(hostile)
    assert r"\caption{50 \% of a\_b}" in text
    assert r"\$\textbackslash{}alpha\$ \& \#1 \textasciitilde{} \textasciicircum{} \{\}" in text
    assert text.count(r"\\") == 2


def test_the_csv_has_every_score_unrounded(tests: TestScores) -> None:
    rows = list(csv.DictReader(io.StringIO(scores_csv(tests))))
    count = len(tests.blurred)
    assert len(rows) == 3 * count + 2 * count * sum(level.sigma_8bit > 0 for level in tests.noise)
    restored = [float(row["psnr"]) for row in rows if row["picture"] == "restored" and row["noise_sigma_8bit"] == "0"]
    assert restored == [score.psnr for score in tests.restored]
    noisy = [row for row in rows if row["noise_sigma_8bit"] == "3" and row["picture"] == "blurred"]
    assert float(noisy[0]["lpips"]) == pytest.approx(tests.noise[2].blurred[0].lpips)


def test_a_page_tells_which_noise_it_shows(study: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert noise_on_page(page) == set()
    write_tables(study, tests, str(page))
    assert noise_on_page(page) == {0.0, 1.0, 3.0, 5.0}
