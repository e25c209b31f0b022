"""Published figures: all have a source, and a few are read off the paper by hand."""

import pytest

from gkm.errors import InputError
from gkm.scoring.published import SOURCES, all_published, of_table, on_data


def test_every_figure_has_a_source_and_is_possible() -> None:
    rows = all_published()
    assert {row.source for row in rows} == set(SOURCES)
    assert all(20 < row.psnr < 30 and 0.5 < row.ssim < 1 and 0 < (row.lpips or 0.1) < 0.5 for row in rows)
    assert {row.key for row in rows if row.lpips is None} == {"lakdnet-s", "lakdnet-l"}
    assert len({(row.table, row.key, row.data, row.noise_sigma_8bit) for row in rows}) == len(rows)


def test_tables_have_their_rows() -> None:
    assert {table: len(of_table(table)) for table in "12345"} == {"1": 8, "2": 24, "3": 24, "4": 6, "5": 4}
    gkmnet = of_table("1")[-1]
    assert (gkmnet.model, gkmnet.psnr, gkmnet.ssim, gkmnet.lpips) == ("GKMNet", 25.47, 0.789, 0.219)
    assert (gkmnet.parameters_millions, gkmnet.gflops, gkmnet.cpu_seconds) == (1.41, 603.5, 43.9)
    last = of_table("3")[-1]
    assert (last.key, last.data, last.noise_sigma_8bit, last.psnr, last.lpips) == ("gkmnet+", "rtf", 2.55, 25.21, 0.210)
    assert [row.model for row in of_table("5")] == ["S = 1, R = 3", "S = 2, R = 3", "S = 3, R = 2", "S = 3, R = 1"]


def test_figures_of_a_data_set_are_of_whole_methods_at_the_noise_asked_for() -> None:
    silent = on_data("dpd", [0.0])
    assert {row.model for row in silent} == {
        "JNB", "EBDB", "DMENet", "DPDNet-S", "DPDNet-D", "SRN", "AttNet", "GKMNet", "NRKNet", "DRBNet",
        "Restormer", "LaKDNet (small)", "LaKDNet (large)",
    }  # fmt: skip
    assert len(on_data("dpd", [0.0, 3.0])) == len(silent) + 8
    with pytest.raises(InputError, match="--published cuhk: no figures are known of it; choose from dpd, rtf"):
        on_data("cuhk", [0.0])
