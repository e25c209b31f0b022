"""The table of a study: a row for each trial and epoch, readable by anything that reads Parquet."""

from dataclasses import replace
from pathlib import Path

from pyarrow import parquet

from gkm.config import TrialConfig
from gkm.study.record.export import export_study
from gkm.study.record.record import RecordPlace
from gkm.study.record.results import StudyResults, TrialRow
from tests.unit.study.archived import make_study


def test_every_trial_and_epoch_has_a_row_with_settings_and_metrics(tmp_path: Path) -> None:
    record = make_study(RecordPlace(str(tmp_path)), "s", {"a": [[30.0, 31.0, 32.0]] * 2, "b": [[31.0, 32.0, 33.0]] * 2})
    out = tmp_path / "deep" / "s.parquet"
    assert export_study(record.results(), out) == 8
    table = parquet.read_table(out)
    assert table.schema.metadata[b"gkm.record"].decode() == record.id
    rows = table.to_pylist()
    assert [(row["number"], row["epoch"]) for row in rows] == [(n, e) for n in range(4) for e in (1, 2)]
    assert [row["arm"] for row in rows[::2]] == ["a", "a", "b", "b"]
    assert [row["seed"] for row in rows[::2]] == [0, 1, 0, 1]
    assert [row["model.width"] for row in rows[::2]] == [3, 3, 4, 4]
    assert [row["val/psnr"] for row in rows[:2]] == [30.0, 31.0]
    assert rows[0]["study"] == "s"
    assert rows[0]["status"] == "finished"
    assert set(TrialConfig().flat()) <= set(table.column_names)


def test_trials_without_epochs_and_settings_of_several_types_are_kept(tmp_path: Path) -> None:
    base = TrialConfig()
    empty = TrialRow(0, "failed", base, reason="diverged", complexity={"parameters": 7.0})
    other = TrialRow(1, "finished", base, history=({"epoch": 1.0, "val/psnr": 30.0},))
    clipped = replace(other, number=2, config=base.with_values({"optim.clip_norm": 1.0}))
    export_study(StudyResults("s", (empty, other, clipped)), tmp_path / "s.parquet")
    rows = parquet.read_table(tmp_path / "s.parquet").to_pylist()
    assert [(row["epoch"], row["val/psnr"], row["reason"]) for row in rows] == [
        (None, None, "diverged"), (1, 30.0, None), (1, 30.0, None)
    ]  # fmt: skip
    assert [row["optim.clip_norm"] for row in rows] == [None, None, 1.0]
    assert rows[0]["parameters"] == 7.0
