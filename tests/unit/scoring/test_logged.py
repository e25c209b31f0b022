"""Scores at MLflow runs: a name says which data set, protocol, noise and seed, and nothing is logged twice."""

from pathlib import Path

from pyarrow import parquet

from gkm.data.dataset.dataset import open_dataset
from gkm.evaluation import PROTOCOLS
from gkm.scoring.cells import Cell, Conditions, Place, score_cells, with_blurred
from gkm.scoring.logged import log_scores, metric_prefix
from gkm.scoring.subjects import BLURRED, find_subject
from gkm.scoring.summary import summarise
from gkm.tracking import Tracking


def test_a_name_says_all_that_a_score_depends_on(tiny: Place, tiny_views: Path) -> None:
    fingerprint = tiny.dataset.fingerprint
    assert metric_prefix(Cell(BLURRED, tiny, 3.0), Conditions(seed=2)) == f"test/{fingerprint}/gkm/noise_3/seed_2"
    silent = Cell(BLURRED, tiny, 0.0)
    assert metric_prefix(silent, Conditions(seed=2)) == f"test/{fingerprint}/gkm/noise_0"
    other = Place("tiny", open_dataset(tiny_views))
    every = {
        metric_prefix(cell, conditions)
        for cell in (silent, Cell(BLURRED, other, 0.0))
        for conditions in (Conditions(), Conditions(protocol=PROTOCOLS["ifan"]), Conditions(split="validation"))
    }
    assert len(every) == 6


def test_metrics_data_and_rows_are_at_the_run_once(
    trained_run: tuple[Tracking, str], tiny: Place, tmp_path: Path
) -> None:
    tracking, run_id = trained_run
    conditions = Conditions(seed=1)
    cells = with_blurred([Cell(find_subject(tracking, "1"), tiny, 3.0)])
    blocks = score_cells(cells, str(tmp_path / "kept"), conditions)
    summaries = summarise(cells, blocks, {})
    for _ in range(2):
        assert log_scores(tracking, cells, blocks, summaries, conditions) == [run_id]
    prefix = metric_prefix(cells[1], conditions)
    run = tracking.client.get_run(run_id)
    assert run.data.metrics[f"{prefix}/psnr"] == summaries[1].means["psnr"]
    assert run.data.metrics[f"{prefix}/blurred_lpips"] == summaries[0].means["lpips"]
    assert len(tracking.client.get_metric_history(run_id, f"{prefix}/psnr")) == 1
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.digest == tiny.dataset.fingerprint
    name = f"{prefix.removeprefix('test/').replace('/', '-')}.parquet"
    rows = parquet.read_table(tracking.download(run_id, f"test/{name}", tmp_path / "down")).to_pylist()
    assert [row["psnr"] for row in rows] == [row.psnr for row in blocks[1].rows]
