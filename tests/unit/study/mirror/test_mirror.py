"""A study shown in a real sqlite store: once each, nothing missing, whatever happened in between."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gkm.config import ModelConfig, TrialConfig
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.study.design.budget import Spent
from gkm.study.design.objective import PSNR, Objective
from gkm.study.mirror import agenda
from gkm.study.mirror import mlflow_mirror as mirror_module
from gkm.study.mirror.mirror import Mirror, MlflowMirror, NullMirror, StudyFacts, find_foreign, read_study
from gkm.study.mirror.mirrored import MirroredStudy
from gkm.study.record.results import StudyResults, TrialRow
from gkm.study.record.statuses import TrialStatus
from gkm.tracking import Tracking, TrackingAwayError, open_tracking
from gkm.tracking.connection import Connection
from gkm.training.best import PhotographScore, save_best
from gkm.training.store import open_store

BEGAN = 1.76e9
SECOND = 5.0
"""How long an epoch takes here."""
WRITES = {
    "create_run", "log_batch", "set_terminated", "update_run", "delete_run", "delete_tag", "log_inputs",
    "log_artifact", "log_image",
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Making a store's tables takes seconds: it is done once."""
    folder = tmp_path_factory.mktemp("runs")
    opened(folder).prepare()
    return folder


def opened(folder: Path, experiment: str = "gkm") -> Tracking:
    tracking = open_tracking(folder, f"sqlite:///{folder}/mlflow.db")
    return Tracking(tracking.uri, tracking.artifacts, experiment=experiment)


@pytest.fixture
def tracking(workspace: Path, request: pytest.FixtureRequest) -> Tracking:
    """An experiment of the test's own in the module's store."""
    return opened(workspace, request.node.name)


@pytest.fixture
def facts() -> StudyFacts:
    return StudyFacts(
        name="quick",
        record_id="r1",
        record="/runs/records/quick.journal",
        tags={"gkm.space": "5pace", "gkm.search_seed": "0", "gkm.git_commit": "c0ffee"},
        parameters={"optim.learning_rate": "0.0001 to 0.01, logarithmic"},
        base="{}",
        data="s3://me:hunter2@bucket/data",
        data_fingerprint="0123456789ab",
        planned={"trial_epochs": 12.0},
        blurred={"val/blurred_psnr": 21.5},
        rungs=(1, 3, 9),
    )


def row(
    number: int = 0, epochs: int = 0, status: TrialStatus = "finished", *, score: float = 20.0, **more: Any
) -> TrialRow:
    """A trial of `epochs` epochs, the last of which is the best."""
    rate = more.pop("rate", 1e-4 * (number + 1))
    config = TrialConfig().with_values({"optim.learning_rate": rate, "training.seed": more.get("seed", 0)})
    began = BEGAN + 1000 * number
    history = tuple(
        {
            "epoch": float(epoch),
            "val/psnr": score + epoch,
            "best/val/psnr": score + epoch,
            "best/epoch": float(epoch),
            "seconds": SECOND * epoch,
            "time": began + SECOND * epoch + 0.123,
        }
        for epoch in range(1, epochs + 1)
    )
    more.setdefault("group", number)
    return TrialRow(number, status, config, {"optim.learning_rate": rate}, history, **more)


def show(tracking: Tracking, facts: StudyFacts, *rows: TrialRow) -> MirroredStudy:
    """All of it, by a driver that has just started."""
    study = MirroredStudy(tracking, facts)
    study.show_study(None)
    for one in rows:
        others = [other for other in rows if other.group == one.group]
        study.show(one, others)
        study.show_setting(others)
    return study


def run_of(tracking: Tracking, study: MirroredStudy, number: int) -> Any:
    return tracking.client.get_run(study.trials[number].id)


def count_points(tracking: Tracking, run_id: str, metric: str = "val/psnr") -> int:
    return len(tracking.client.get_metric_history(run_id, metric))


def test_arms_may_have_any_name(tracking: Tracking, facts: StudyFacts) -> None:
    """Those of Table 4 have stars and brackets, which MLflow takes in values alone."""
    arms = {"SRAM*": "a", "SRAM(": "b", "Learned GCM (GKM)": "c", "Ärmel/µ": "d"}
    study = show(tracking, replace(facts, parameters=arms), row(0, 1, arm="SRAM*"))
    shown = tracking.client.get_run(study.parent.id).data.params
    assert shown == {"space.SRAM_": "a", "space.SRAM_ 2": "b", "space.Learned GCM _GKM_": "c", "space._rmel/_": "d"}
    assert run_of(tracking, study, 0).data.tags["gkm.arm"] == "SRAM*"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that MLflow was asked for."""
    seen: list[str] = []
    call = Connection.call

    def watched(self: Connection, operation: str, *arguments: Any, **keywords: Any) -> Any:
        seen.append(operation)
        return call(self, operation, *arguments, **keywords)

    monkeypatch.setattr(Connection, "call", watched)
    return seen


def test_a_study_is_shown_and_reads_back_as_it_was(tracking: Tracking, facts: StudyFacts) -> None:
    rows = [
        row(0, 3, reason=None, complexity={"parameters": 1234.0}),
        row(1, 2, "stopped", reason="behind the others"),
        row(2, 0, "failed", reason="diverged"),
        row(3, 1, "running"),
        row(4, 0, "waiting"),
    ]
    study = show(tracking, facts, *rows)
    assert sorted(study.run_ids()) == [0, 1, 2, 3]
    back = read_study(tracking, "quick")
    assert back is not None
    assert (back.record_id, back.run_id, back.data_fingerprint) == ("r1", study.parent.id, "0123456789ab")
    assert (back.tags["gkm.space"], back.status) == ("5pace", "interrupted")
    for ours, theirs in zip(rows[:3], back.trials[:3], strict=True):
        assert theirs == replace(ours, run_id=study.trials[ours.number].id)
    assert back.trials[3].status == "interrupted"

    run = run_of(tracking, study, 1)
    assert run.info.run_name == "quick / 1"
    assert run.info.start_time == round((BEGAN + 1000 + 0.123) * 1000)
    assert run.info.end_time == round((BEGAN + 1000 + 2 * SECOND + 0.123) * 1000)
    assert min(run.data.params) == "_optim.learning_rate"
    assert run.data.params["_optim.learning_rate"] == run.data.params["optim.learning_rate"] == "0.0002"
    assert tracking.trial(run.info.run_id).config == rows[1].config
    tags = run.data.tags
    assert (tags["mlflow.parentRunId"], tags["gkm.status"]) == (study.parent.id, "stopped")
    assert (tags["gkm.reason"], tags["gkm.rung"], tags["gkm.git_commit"]) == ("behind the others", "0", "c0ffee")
    front = {key: value for key, value in tags.items() if not key.startswith(("gkm.", "mlflow."))}
    assert front == {"kind": "trial", "phase": "search", "status": "stopped", "study": "quick"}
    note = tags["mlflow.note.content"]
    assert note.startswith(
        "Trial 1 of the study **quick** trains one setting with one seed: `optim.learning_rate = 0.0002`"
    )
    assert "**22.00 dB** on validation at epoch 2, +0.50 dB over the blurred input (21.50 dB)." in note
    assert "Stopped after 2 epochs: behind the others." in note
    assert "`gkm report quick`" in note
    assert "/runs/records/quick.journal" in note
    assert (
        "Failed after 0 epochs: diverged. Not validated." in run_of(tracking, study, 2).data.tags["mlflow.note.content"]
    )
    assert [entry.dataset.digest for entry in run.inputs.dataset_inputs] == ["0123456789ab"] * 2
    contexts = [entry.tags[0].value for entry in run.inputs.dataset_inputs]
    assert sorted(contexts) == ["training", "validation"]
    everything = json.dumps([entry.to_dictionary() for entry in tracking.find({"gkm.record": "r1"})], default=str)
    assert "hunter2" not in everything


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("running", "RUNNING"),
        ("interrupted", "KILLED"),
        ("finished", "FINISHED"),
        ("stopped", "FINISHED"),
        ("failed", "FAILED"),
        ("refused", "FAILED"),
    ],
)
def test_what_became_of_a_trial_in_the_words_of_mlflow(
    tracking: Tracking, facts: StudyFacts, status: TrialStatus, shown: str
) -> None:
    study = show(tracking, facts, row(0, 1, status))
    run = run_of(tracking, study, 0)
    assert (run.info.status, run.data.tags["gkm.status"]) == (shown, status)


def test_showing_it_again_writes_nothing(tracking: Tracking, facts: StudyFacts, calls: list[str]) -> None:
    rows = [row(n, 3, seed=n, group=0, rate=1e-3) for n in range(3)]
    facts = replace(facts, seeds=3)
    show(tracking, facts, *rows)
    calls.clear()
    again = show(tracking, facts, *rows)
    assert not WRITES & set(calls)
    assert count_points(tracking, again.trials[2].id) == 3


def test_a_short_trial_costs_four_visits(tracking: Tracking, facts: StudyFacts, calls: list[str]) -> None:
    study = show(tracking, facts)
    calls.clear()
    study.show(row(0, 3))
    assert calls == ["create_run", "log_batch", "log_inputs", "set_terminated"]


def test_a_long_history_arrives_whole(tracking: Tracking, facts: StudyFacts) -> None:
    study = show(tracking, facts, row(0, 700))
    assert count_points(tracking, study.trials[0].id) == 700
    assert run_of(tracking, study, 0).data.metrics["best/val/psnr"] == 720.0


def test_a_trial_goes_on_in_its_run(tracking: Tracking, facts: StudyFacts) -> None:
    """Also where the driver died between the points and the note of how far they go."""
    first = show(tracking, facts, row(0, 2, "interrupted", reason="Ctrl-C"))
    tracking.set_tags(first.trials[0].id, {"gkm.epochs": "1"})
    running = show(tracking, facts, row(0, 3, "running"))
    run = run_of(tracking, running, 0)
    assert (run.info.run_id, run.info.status) == (first.trials[0].id, "RUNNING")
    assert "gkm.reason" not in run.data.tags
    running.show(row(0, 5))
    assert run_of(tracking, running, 0).info.status == "FINISHED"
    for metric in ("val/psnr", "best/val/psnr", "seconds"):
        points = tracking.client.get_metric_history(run.info.run_id, metric)
        assert [point.step for point in points] == [1, 2, 3, 4, 5]


def test_seeds_hang_below_their_setting_which_has_mean_and_spread(tracking: Tracking, facts: StudyFacts) -> None:
    facts = replace(facts, seeds=2)
    rows = [
        row(0, 2, score=20.0, seed=0, group=0, rate=1e-3, arm="wide"),
        row(1, 2, score=22.0, seed=1, group=0, rate=1e-3, arm="wide"),
        row(2, 2, score=25.0, seed=0, group=2, rate=1e-2, arm="deep"),
        row(3, 1, "running", seed=1, group=2, rate=1e-2, arm="deep"),
    ]
    study = show(tracking, facts, *rows)
    setting, unfinished = (tracking.client.get_run(study.settings[group].id) for group in (0, 2))
    assert setting.data.tags["mlflow.parentRunId"] == study.parent.id
    assert run_of(tracking, study, 1).data.tags["mlflow.parentRunId"] == setting.info.run_id
    assert run_of(tracking, study, 1).info.run_name == "quick / 1 wide seed 1"
    assert (setting.info.run_name, setting.info.status) == ("quick / wide", "FINISHED")
    assert setting.data.metrics == pytest.approx(
        {"best/val/psnr": 23.0, "best/val/psnr_std": 2**0.5, "n": 2.0}, abs=1e-9
    )
    assert setting.data.params["_arm"] == "wide"
    assert "training.seed" not in setting.data.params
    assert (unfinished.info.status, unfinished.data.metrics) == ("RUNNING", {})
    said, waits = (run.data.tags["mlflow.note.content"] for run in (setting, unfinished))
    assert "**23.00 dB** on validation, the mean of 2 seeds, +1.50 dB over the blurred input (21.50 dB)." in said
    assert "1 of 2 runs have ended." in waits
    assert [trial.number for trial in tracking.trials(study.parent.id)] == [0, 1, 2, 3]


def test_fresh_seeds_of_a_confirmation_hang_below_a_run_of_their_setting(tracking: Tracking, facts: StudyFacts) -> None:
    rows = [
        row(0, 2, rate=1e-3),
        *(row(n, 2, score=19.0 + n, seed=n, group=0, rate=1e-3, phase="confirm") for n in (1, 2)),
    ]
    study = show(tracking, facts, *rows)
    setting = tracking.client.get_run(study.settings[0].id)
    assert run_of(tracking, study, 0).data.tags["mlflow.parentRunId"] == study.parent.id
    assert run_of(tracking, study, 2).data.tags["mlflow.parentRunId"] == setting.info.run_id
    assert run_of(tracking, study, 2).info.run_name == "quick / confirm 2"
    assert setting.data.metrics["confirm/val/psnr"] == pytest.approx(22.5)
    assert setting.data.metrics["confirm/n"] == 2.0
    back = read_study(tracking, "quick")
    assert back is not None
    assert [(trial.phase, trial.group, trial.seed) for trial in back.trials] == [
        ("search", 0, 0), ("confirm", 0, 1), ("confirm", 0, 2),
    ]  # fmt: skip


def test_the_study_shows_how_it_ended(tracking: Tracking, facts: StudyFacts) -> None:
    rows = (row(0, 2), row(1, 3), row(2, 1, "stopped"))
    facts = replace(facts, objectives=(PSNR, Objective("seconds", "min", "s")))
    study = show(tracking, facts, *rows)
    assert "It is being run." in tracking.tags(study.parent.id)["mlflow.note.content"]
    spent = Spent(trials=3, epochs=6, hours=0.5)
    study.show_study(StudyResults("quick", rows, "interrupted", "Ctrl-C", spent=spent, objectives=facts.objectives))
    run = tracking.client.get_run(study.parent.id)
    note = run.data.tags["mlflow.note.content"]
    assert (
        "**Winner: setting 1** (`optim.learning_rate = 0.0002`), **23.00 dB** on validation, by one seed, "
        "+1.50 dB over the blurred input (21.50 dB); its best run is trial 1."
    ) in note
    assert "Interrupted: Ctrl-C. 3 trials (2 finished, 1 stopped), 6 epochs, 0.50 hours." in note
    assert "| `optim.learning_rate` | 0.0001 to 0.01, logarithmic |" in note
    assert f"/runs/{study.trials[1].id})" in note
    assert "hunter2" not in note
    assert run.info.status == "KILLED"
    expected = {
        "best/val/psnr": 23.0,
        "best/seconds": 15.0,
        "trials/finished": 2.0,
        "trials/stopped": 1.0,
        "trials/failed": 0.0,
        "planned/trial_epochs": 12.0,
        "spent/epochs": 6.0,
        "spent/hours": 0.5,
        "val/blurred_psnr": 21.5,
    }
    assert expected.items() <= run.data.metrics.items()
    assert (run.data.tags["gkm.best_trial"], run.data.tags["gkm.best_run"]) == ("1", study.trials[1].id)
    assert run.data.params == {"space.optim.learning_rate": "0.0001 to 0.01, logarithmic"}
    assert "searchFilter=tags.%60gkm.study%60%20%3D%20%27quick%27" in run.data.tags["mlflow.note.content"]
    again = show(tracking, facts, *rows)
    run = tracking.client.get_run(again.parent.id)
    assert (run.info.status, "gkm.reason" in run.data.tags) == ("RUNNING", False)


def test_a_study_of_another_record_is_left_alone(tracking: Tracking, facts: StudyFacts, calls: list[str]) -> None:
    theirs = show(tracking, facts, row(0, 2, "running"))
    mine = replace(facts, record_id="r2", record="postgresql://me:hunter2@host/studies")
    assert find_foreign(tracking, "quick", "r1") is None
    found = find_foreign(tracking, "quick", "r2")
    assert found is not None
    assert (found.run_id, found.record) == (theirs.parent.id, "/runs/records/quick.journal")
    before = tracking.client.get_run(theirs.parent.id).to_dictionary()
    study = show(tracking, mine, row(0, 1))
    assert study.conflict is not None
    assert "another study called quick" in study.conflict
    assert "/runs/records/quick.journal" in study.conflict
    assert study.parent.id != theirs.parent.id
    assert tracking.client.get_run(theirs.parent.id).to_dictionary() == before
    assert run_of(tracking, theirs, 0).info.status == "RUNNING"
    again = show(tracking, mine, row(0, 1))
    assert (again.parent.id, again.conflict) == (study.parent.id, None)
    newest = read_study(tracking, "quick")
    named = read_study(tracking, "quick", record_id="r1")
    assert newest is not None
    assert named is not None
    assert (newest.run_id, named.run_id) == (study.parent.id, theirs.parent.id)
    assert newest.record == "postgresql://***@host/studies"


def test_doubled_runs_become_one(tracking: Tracking, facts: StudyFacts) -> None:
    first = show(tracking, facts, row(0, 2), row(1, 1))
    for run_id in (first.parent.id, first.trials[0].id):
        run = tracking.client.get_run(run_id)
        tracking.create("double", dict(run.data.tags) | {"mlflow.runName": "double"})
    assert len(tracking.find({"gkm.record": "r1"})) == 5
    again = show(tracking, facts, row(0, 2), row(1, 1))
    assert sorted(run.info.run_id for run in tracking.find({"gkm.record": "r1"})) == sorted(
        [first.parent.id, *first.run_ids().values()]
    )
    assert again.run_ids() == first.run_ids()


def test_a_number_of_other_settings_gets_another_run(tracking: Tracking, facts: StudyFacts) -> None:
    """As after a record that was made anew from fewer trials than MLflow had."""
    first = show(tracking, facts, row(0, 2), row(1, 2, "running"))
    again = show(tracking, facts, row(0, 2), row(1, 1, rate=0.5))
    assert again.trials[0].id == first.trials[0].id
    assert again.trials[1].id != first.trials[1].id
    old = tracking.client.get_run(first.trials[1].id)
    assert (old.info.status, old.data.tags["gkm.kind"]) == ("KILLED", "superseded")


def test_no_run_of_an_unknown_trial_goes_on_running(tracking: Tracking, facts: StudyFacts) -> None:
    show(tracking, facts, row(0, 2), row(1, 2, "running"))
    again = show(tracking, facts, row(0, 2))
    again.tidy({0: row(0, 2)})
    run = run_of(tracking, again, 1)
    assert (run.info.status, run.data.tags["gkm.reason"]) == ("KILLED", "is not in the study's record")


def test_a_study_of_version_0_1_0_is_read_and_taken_over(tracking: Tracking, facts: StudyFacts) -> None:
    """It knew no records; trials could be doubled, and ran for ever after kill -9."""
    tags = {"gkm.space": "5pace", "gkm.seed": "0", "gkm.data": "0123456789ab", "gkm.base": "{}"}
    parent = tracking.start_study("quick", parameters={"space.optim.learning_rate": "0.0001"}, tags=tags)
    expected = row(0, 2)
    for trial_id, number, epochs in (("a", 0, 2), ("ghost", 1, 1), ("b", 1, 2)):
        one = row(number, epochs)
        run = tracking.start_trial(
            trial_id,
            study_run_id=parent.run_id,
            number=number,
            config=one.config,
            searched=one.parameters,
            tags={"gkm.study": "quick"},
        )
        for metrics in one.history:
            run.log_epoch(int(metrics["epoch"]), {"val/psnr": metrics["val/psnr"]})
        if trial_id != "ghost":
            run.finish("finished")
    back = read_study(tracking, "quick")
    assert back is not None
    assert (back.record_id, back.tags["gkm.seed"], back.data_fingerprint) == ("", "0", "0123456789ab")
    assert [(trial.number, trial.status, trial.epochs) for trial in back.trials] == [
        (0, "finished", 2), (1, "finished", 2),
    ]  # fmt: skip
    assert back.trials[0].config == expected.config
    assert back.trials[0].parameters == {"optim.learning_rate": 1e-4}
    assert all("time" in metrics for metrics in back.trials[0].history)

    study = MirroredStudy(tracking, facts, prefer=[trial.run_id or "" for trial in back.trials])
    study.show_study(None)
    for trial in back.trials:
        study.show(trial)
    assert study.parent.id == parent.run_id
    assert study.run_ids() == {trial.number: trial.run_id for trial in back.trials}
    assert count_points(tracking, study.trials[1].id) == 2
    assert tracking.tags(parent.run_id)["gkm.record"] == "r1"
    assert show(tracking, facts).run_ids() == study.run_ids()


# Files


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A trial's files after two epochs."""
    store = open_store(str(tmp_path / "trials" / "00000"))
    keep(store.place, 2)
    store.save_picture(1, png())
    store.save_picture(2, png())
    return store.place


def keep(place: str, epoch: int) -> None:
    model = GKMNet(ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2))
    scores = [PhotographScore("s", "n", 20.0, 0.5)]
    open_store(place).save_best(epoch, lambda folder: save_best(model, scores, folder))


def png() -> bytes:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (6, 4), (9, 9, 9)).save(file, "PNG")
    return file.getvalue()


def test_weights_and_pictures_are_kept_once(
    tracking: Tracking, facts: StudyFacts, place: str, tmp_path: Path, calls: list[str]
) -> None:
    study = show(tracking, facts, row(0, 2, "interrupted", place=place))
    study.keep_files(row(0, 2, "interrupted", place=place))
    run_id = study.trials[0].id
    weights = tracking.download(run_id, "weights", tmp_path / "back")
    assert sorted(path.name for path in weights.iterdir()) == ["model.json", "model.safetensors"]
    assert tracking.download(run_id, "validation.parquet", tmp_path / "back").stat().st_size > 0
    pictures = [entry.path for entry in tracking.client.list_artifacts(run_id, "images")]
    assert len(pictures) == 4  # MLflow keeps a small copy of each
    assert tracking.picture_steps(run_id, "validation") == {1, 2}
    assert f"+step+1+timestamp+{round((BEGAN + SECOND + 0.123) * 1000)}+" in pictures[0]

    keep(place, 3)
    open_store(place).save_picture(3, png())
    again = show(tracking, facts, row(0, 3, place=place))
    again.keep_files(row(0, 3, place=place))
    assert tracking.picture_steps(run_id, "validation") == {1, 2, 3}
    assert len(tracking.client.list_artifacts(run_id, "images")) == 6
    calls.clear()
    show(tracking, facts, row(0, 3, place=place)).keep_files(row(0, 3, place=place))
    assert not WRITES & set(calls)


def test_files_that_are_gone_are_noted_and_found_when_they_are_back(
    tracking: Tracking, facts: StudyFacts, place: str
) -> None:
    aside = shutil.move(place, f"{place}-aside")
    one = row(0, 2, place=place, notes=("passed over a damaged checkpoint",))
    study = show(tracking, facts, one)
    study.keep_files(one)
    note = run_of(tracking, study, 0).data.tags["gkm.note"]
    assert note.startswith("passed over a damaged checkpoint; files: ")
    assert "is missing" in note or "no " in note or "not" in note
    shutil.move(aside, place)
    again = show(tracking, facts, one)
    again.keep_files(one)
    assert run_of(tracking, again, 0).data.tags["gkm.note"] == "passed over a damaged checkpoint"
    assert tracking.picture_steps(again.trials[0].id, "validation") == {1, 2}


# The thread


@pytest.fixture
def quick_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agenda, "GATHER_SECONDS", 0.05)
    monkeypatch.setattr(agenda, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(mirror_module, "_FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(mirror_module, "_LONGEST_PAUSE_SECONDS", 0.1)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def start(
    tracking: Tracking, facts: StudyFacts, said: list[str], quick_mirror: None
) -> Iterator[Callable[..., MlflowMirror]]:
    """Mirrors that are closed at the end."""
    started: list[MlflowMirror] = []

    def begin(tracking: Tracking = tracking, facts: StudyFacts = facts) -> MlflowMirror:
        started.append(MlflowMirror(tracking, facts, on_trouble=said.append))
        return started[-1]

    yield begin
    for one in started:
        one.close()
    assert not any(one._thread.is_alive() for one in started)


Start = Callable[..., MlflowMirror]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def results(*rows: TrialRow) -> StudyResults:
    return StudyResults("quick", rows)


def test_the_mirror_shows_rows_files_and_the_end(
    tracking: Tracking, start: Start, place: str, tmp_path: Path, said: list[str]
) -> None:
    mirror: Mirror = start()
    for epochs in range(3):
        mirror.update(row(0, epochs, "running", place=place))
    page = tmp_path / "report.html"
    page.write_text("a page")
    mirror.attach(page, "report")
    assert mirror.flush(30)
    assert tracking.client.get_run(mirror.run_ids()[0]).info.status == "RUNNING"
    mirror.update(row(0, 2, place=place))
    assert mirror.finish(results(row(0, 2, place=place)), 30)
    assert mirror.study_run_id is not None
    parent = tracking.client.get_run(mirror.study_run_id)
    assert (parent.info.status, parent.data.metrics["best/val/psnr"]) == ("FINISHED", 22.0)
    assert count_points(tracking, mirror.run_ids()[0]) == 2
    assert tracking.picture_steps(mirror.run_ids()[0], "validation") == {1, 2}
    assert tracking.download(mirror.study_run_id, "report/report.html", tmp_path / "back").read_text() == "a page"
    assert (mirror.trouble, mirror.conflict, said) == (None, None, [])


def test_an_mlflow_that_is_away_is_said_once_and_made_good(
    tracking: Tracking, start: Start, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Connection.call
    away = threading.Event()

    def sometimes(self: Connection, operation: str, *arguments: Any, **keywords: Any) -> Any:
        if away.is_set():
            raise TrackingAwayError("refused", "connection refused")
        return call(self, operation, *arguments, **keywords)

    monkeypatch.setattr(Connection, "call", sometimes)
    away.set()
    mirror = start()
    for epochs in range(1, 4):
        mirror.update(row(0, epochs, "running"))
    assert not mirror.flush(0.5)
    assert not mirror.finish(results(row(0, 3)), 0.2)
    until(lambda: len(said) == 1)
    assert mirror.trouble is not None
    assert "connection refused); training goes on" in mirror.trouble
    away.clear()
    assert mirror.flush(30)
    away.set()
    mirror.update(row(0, 5))
    assert not mirror.flush(0.5)
    until(lambda: len(said) == 3)
    away.clear()
    assert mirror.finish(results(row(0, 5)), 30)
    assert mirror.trouble is None
    assert [text.split(" (")[0].split(";")[0].split(" since")[0] for text in said] == [
        f"MLflow at {tracking.address} does not answer",
        f"MLflow at {tracking.address} answers again",
    ] * 2
    assert count_points(tracking, mirror.run_ids()[0]) == 5
    assert len(tracking.find({"gkm.record": "r1"})) == 2


def test_a_call_that_was_carried_out_but_not_answered_doubles_nothing(
    tracking: Tracking, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Connection.call
    unanswered = {"create_run": 2, "log_batch": 3, "set_terminated": 1}

    def deaf(self: Connection, operation: str, *arguments: Any, **keywords: Any) -> Any:
        answer = call(self, operation, *arguments, **keywords)
        if unanswered.get(operation, 0) > 0:
            unanswered[operation] -= 1
            raise TrackingAwayError("no answer", "no answer in time")
        return answer

    monkeypatch.setattr(Connection, "call", deaf)
    mirror = start()
    for number in range(3):
        mirror.update(row(number, 3))
    assert mirror.finish(results(*(row(n, 3) for n in range(3))), 30)
    assert set(unanswered.values()) == {0}
    assert len(tracking.find({"gkm.record": "r1"})) == 4
    assert [count_points(tracking, run_id) for run_id in mirror.run_ids().values()] == [3, 3, 3]


def test_what_cannot_be_shown_does_not_hold_up_the_rest(
    tracking: Tracking, start: Start, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    show_trial = MirroredStudy.show

    def broken(self: MirroredStudy, row: TrialRow, others: Any = ()) -> None:
        if row.number == 1:
            raise ZeroDivisionError("a mistake of ours")
        show_trial(self, row, others)

    monkeypatch.setattr(MirroredStudy, "show", broken)
    mirror = start()
    for number in range(3):
        mirror.update(row(number, 1))
    assert not mirror.finish(results(row(0, 1)), 30)
    assert sorted(mirror.run_ids()) == [0, 2]
    assert said == ["MLflow cannot show trial 1 (ZeroDivisionError: a mistake of ours); training goes on"]


def test_runs_deleted_by_hand_come_back(tracking: Tracking, start: Start) -> None:
    mirror = start()
    mirror.update(row(0, 2, "running"))
    assert mirror.flush(30)
    tracking.client.delete_run(mirror.run_ids()[0])
    mirror.update(row(0, 3))
    assert mirror.finish(results(row(0, 3)), 30)
    assert count_points(tracking, mirror.run_ids()[0]) == 3
    assert tracking.client.get_run(mirror.run_ids()[0]).info.lifecycle_stage == "active"


def test_nobody_waits_while_mlflow_hangs(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answered = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        asked.set()
        answered.wait(120)

    monkeypatch.setattr(Connection, "call", hang)
    monkeypatch.setattr(mirror_module, "_CLOSE_SECONDS", 0.1)
    mirror = start()
    assert asked.wait(60)
    began = time.monotonic()
    for epochs in range(3):
        mirror.update(row(0, epochs, "running"))
    mirror.update(row(0, 3))
    assert mirror.run_ids() == {}
    assert not mirror.flush(0.1)
    assert not mirror.finish(results(row(0, 3)), 0.1)
    mirror.close()
    assert time.monotonic() - began < 60, "MLflow answers after 120 seconds"
    answered.set()
    mirror._thread.join(60)


def test_a_mirror_that_shows_nothing_is_one_too() -> None:
    mirror: Mirror = NullMirror()
    mirror.update(row(0, 1))
    assert mirror.finish(results(), 0.0)
    assert (mirror.run_ids(), mirror.study_run_id, mirror.trouble, mirror.conflict) == ({}, None, None, None)


@pytest.mark.slow
def test_a_database_deleted_meanwhile_is_made_anew_with_all_that_was_shown(
    start: Start, facts: StudyFacts, workspace: Path, tmp_path: Path
) -> None:
    tracking = opened(tmp_path)
    shutil.copy(workspace / "mlflow.db", tmp_path / "mlflow.db")
    page = tmp_path / "report.html"
    page.write_text("a page")
    mirror = start(tracking)
    mirror.attach(page)
    for number in range(2):
        mirror.update(row(number, 2))
    mirror.update(row(2, 1, "running"))
    assert mirror.flush(60)
    before = mirror.run_ids()
    for file in tmp_path.glob("mlflow.db*"):
        file.unlink()
    mirror.update(row(2, 4))
    assert mirror.finish(results(row(0, 2), row(1, 2), row(2, 4)), 120)
    assert not set(before.values()) & set(mirror.run_ids().values())
    back = read_study(tracking, "quick")
    assert back is not None
    assert [len(trial.history) for trial in back.trials] == [2, 2, 4]
    assert tracking.download(mirror.study_run_id or "", "report.html", tmp_path / "back").read_text() == "a page"
