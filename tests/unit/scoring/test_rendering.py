"""Tables as text: published lines are marked, and names cannot break a format."""

import csv
import io

from gkm.scoring.lines import Line, ScoreTable, published, source_notes
from gkm.scoring.published import of_table
from gkm.scoring.rendering import HEADINGS, to_csv, to_latex, to_markdown
from gkm.scoring.summary import Gain

MEASURED = Line(
    model="a|b & c_d",
    origin="measured",
    noise_sigma_8bit=2.55,
    psnr=25.123456,
    ssim=0.75,
    gains={"psnr": Gain(0.5, 0.25, 0.75), "ssim": Gain(-0.01, None, None)},
)
PUBLISHED = published(of_table("1")[-1])
TABLE = ScoreTable("Scores", [MEASURED, PUBLISHED], source_notes([MEASURED, PUBLISHED]))


def test_markdown_marks_what_is_published_and_says_where() -> None:
    lines = to_markdown([TABLE]).splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert all(line.replace(r"\|", "").count("|") == len(HEADINGS) + 1 for line in rows)
    assert rows[1].startswith(r"| a\|b & c_d | measured |")
    assert "| 25.12 | +0.50 [+0.25, +0.75] | 0.750 | -0.010 |" in rows[1]
    assert rows[2].startswith("| GKMNet † | published | dpd | 0 |")
    assert any(line.startswith("† published") and "NeurIPS 2021" in line for line in lines)


def test_latex_escapes_what_has_a_meaning_there() -> None:
    text = to_latex([TABLE])
    assert r"a|b \& c\_d & measured" in text
    assert r"GKMNet $^\dagger$ & published" in text
    assert r"$\Delta$ PSNR (95 \%)" in text
    assert all(row.count(" & ") == len(HEADINGS) - 1 for row in text.splitlines() if row.endswith(r"\\"))


def test_csv_has_every_digit_and_a_column_for_the_origin() -> None:
    first, second = csv.DictReader(io.StringIO(to_csv([TABLE])))
    assert (first["model"], first["origin"], first["psnr"]) == ("a|b & c_d", "measured", "25.123456")
    assert (first["psnr_gain_low"], first["ssim_gain"], first["ssim_gain_low"]) == ("0.25", "-0.01", "")
    assert (second["origin"], second["source"], second["psnr_gain"]) == ("published", "gkmnet", "")
