"""Studies by command: what is printed of them, and what is refused in one sentence."""

from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet
from typer.testing import CliRunner, Result

from gkm.study.design.budget import Spent
from gkm.study.record.archive import read_results
from gkm.study.record.record import RecordPlace
from pipelines.study import COMMANDS
from pipelines.terminal.command import build_group
from pipelines.terminal.study_tables import accounts
from tests.unit.study.archived import make_study

LOW = [[30.0, 31.0, 32.0], [30.1, 31.1, 32.0], [29.9, 31.0, 32.1]]
HIGH = [[score + 1 for score in scores] for scores in LOW]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    place = RecordPlace(str(tmp_path / "runs" / "studies"))
    record = make_study(place, "losses", {"l2": LOW, "ssim": HIGH, "same": LOW})
    record.note(4, notes=["the checkpoint of epoch 1 was damaged"])
    record.set(hours=0.5, planned={"trial_epochs": 18.0, "device_hours": 0.4})
    make_study(place, "other", {"l2": LOW}, state="running")
    return tmp_path / "runs"


def call(workspace: Path, *arguments: object) -> Result:
    environment = {"GKM_WORKSPACE": str(workspace), "MLFLOW_TRACKING_URI": None, "GKM_RECORD": None, "COLUMNS": "80"}
    result = CliRunner().invoke(build_group(COMMANDS, "Studies."), list(map(str, arguments)), env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_list_has_a_row_for_each_study(workspace: Path) -> None:
    text = call(workspace, "list").stdout
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines()[1:]}
    assert rows["losses"].startswith("finished 9 finished 32.07 dB 20")
    assert rows["other"].startswith("interrupted 3 finished 31.07 dB 20")


def test_show_has_trials_arms_verdicts_budget_notes_and_where_to_look(workspace: Path) -> None:
    text = call(workspace, "show", "losses").stdout
    lines = text.splitlines()
    assert lines[0] == "study losses: finished; 9 finished"
    assert "arms by val/psnr (max); data d1" in lines
    trials = [line.split() for line in lines if line.strip()[:1].isdecimal()]
    assert [row[:4] for row in trials[3:6]] == [[str(n), "ssim", str(n - 3), "finished"] for n in (3, 4, 5)]
    assert trials[3] == ["3", "ssim", "0", "finished", "2", "32.00", "dB", "2", "+7.00", "6", "s"]
    assert "better by 1.00 dB" in next(line for line in lines if line.startswith("ssim "))
    assert "the reference" in next(line for line in lines if line.startswith("l2 "))
    assert "spent: 3 trials, 18 epochs, 0.5 hours" in lines
    assert "planned: trial epochs 18, device hours 0.4" in lines
    assert "trial 4: the checkpoint of epoch 1 was damaged" in lines
    journal = workspace / "studies" / "losses.journal"
    assert f"optuna-dashboard {journal}" in lines
    assert f"mlflow ui --backend-store-uri sqlite:///{workspace}/mlflow.db" in lines
    assert not (workspace / "mlflow.db").exists(), "looking at a study makes nothing"


def test_names_of_arms_are_shown_as_they_are(workspace: Path) -> None:
    place = RecordPlace(str(workspace / "studies"))
    make_study(place, "odd", {"ours [paper]": LOW, "[/] and :fire:": HIGH})
    lines = call(workspace, "show", "odd").stdout.splitlines()
    assert sum("ours [paper]  " in line for line in lines) == 4  # three trials, and the arm
    assert sum("[/] and :fire:  " in line for line in lines) == 4


def test_large_studies_are_accounted_for_in_full(workspace: Path) -> None:
    results = read_results(RecordPlace(str(workspace / "studies")), "losses")
    large = replace(results, spent=Spent(40, 99_996, 31.26, 12345.6), planned={"trial_epochs": 120000.0, "work": 6e15})
    assert list(accounts(large))[1:] == [
        "spent: 40 trials, 99,996 epochs, 31.26 hours, 12,346 in money",
        "planned: trial epochs 120,000, work 6e+15",
    ]


def test_compare_says_how_two_differ(workspace: Path) -> None:
    text = call(workspace, "compare", "losses:ssim", "other:l2").stdout
    assert text.startswith("losses:ssim against other:l2: better by 1.00 dB (95 % interval ")


def test_export_writes_the_table(workspace: Path, tmp_path: Path) -> None:
    result = call(workspace, "export", "losses", "--out", tmp_path / "losses.parquet")
    assert result.stdout == f"{tmp_path}/losses.parquet: 18 rows\n"
    assert parquet.read_table(tmp_path / "losses.parquet").num_rows == 18


def test_stop_of_a_study_that_nobody_runs(workspace: Path) -> None:
    assert call(workspace, "stop", "other").stdout == "study other: nobody runs it\n"


def test_replay_shows_what_a_rule_would_have_found(workspace: Path) -> None:
    result = call(workspace, "replay", "losses", "--pruner", "asha:first_rung_epochs=1", "--seeds", 2)
    assert result.exit_code == 0, result.output
    assert [line.split("  ")[0] for line in result.stdout.splitlines()[1:]] == [
        "as recorded", "seed 0", "seed 1", "mean of the replays"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("show", "none"), "study none: is not on record in"),
        (("show", "../x"), "'../x' is no name for a study"),
        (("stop", "none"), "study none: is not on record in"),
        (("compare", "losses", "losses:9"), "study losses: has no arm or trial 9"),
        (("export", "losses", "--out", "x.csv"), "x.csv: the table is written as Parquet"),
        (("replay", "losses", "--pruner", "best"), "there is no stopping rule 'best'"),
        (("replay", "losses", "--sampler", "grid"), "there is no sampler 'grid'"),
        (("list", "--record", "nonsense://x"), "the record's database cannot be opened"),
        (("list", "--workspace", "elsewhere"), "there is no study yet"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(workspace: Path, arguments: tuple[str, ...], sentence: str) -> None:
    result = call(workspace, *arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert not Path("elsewhere").exists()
