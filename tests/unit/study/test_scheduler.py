"""ASHA's rungs outlive the process that filled them."""

from dataclasses import dataclass
from pathlib import Path

from ray.tune.schedulers import TrialScheduler

from gkm.study.scheduler import ResumableASHA


@dataclass(frozen=True)
class Trial:
    trial_id: str


def _scheduler(state: Path) -> ResumableASHA:
    return ResumableASHA(str(state), metric="val/psnr", epochs=9, first_rung_epochs=1, reduction_factor=3)


def _report(scheduler: ResumableASHA, trial: Trial, epoch: int, value: float) -> str:
    return scheduler.on_trial_result(None, trial, {"epoch": epoch, "val/psnr": value})


def test_a_laggard_is_stopped_by_rungs_filled_before_a_restart(tmp_path: Path) -> None:
    good, better, laggard = Trial("a"), Trial("b"), Trial("c")
    before = _scheduler(tmp_path / "study" / "rungs.json")
    for trial, value in ((good, 25.0), (better, 26.0)):
        before.on_trial_add(None, trial)
        assert _report(before, trial, 1, value) == TrialScheduler.CONTINUE
    after = _scheduler(tmp_path / "study" / "rungs.json")
    after.on_trial_add(None, laggard)
    assert after.rungs["1"] == {"a": 25.0, "b": 26.0}
    assert _report(after, laggard, 1, 20.0) == TrialScheduler.STOP
    unaware = _scheduler(tmp_path / "elsewhere.json")
    unaware.on_trial_add(None, laggard)
    assert _report(unaware, laggard, 1, 20.0) == TrialScheduler.CONTINUE


def test_a_decision_to_stop_that_a_crash_prevented_is_carried_out(tmp_path: Path) -> None:
    before = _scheduler(tmp_path / "rungs.json")
    for trial, value in ((Trial("a"), 25.0), (Trial("b"), 20.0)):
        before.on_trial_add(None, trial)
        action = _report(before, trial, 1, value)
    assert action == TrialScheduler.STOP
    after = _scheduler(tmp_path / "rungs.json")
    after.on_trial_add(None, Trial("b"))
    assert _report(after, Trial("b"), 2, 30.0) == TrialScheduler.STOP


def test_a_repeated_report_after_a_resume_changes_no_rung(tmp_path: Path) -> None:
    trials = [Trial("a"), Trial("b")]
    before = _scheduler(tmp_path / "rungs.json")
    for trial, value in zip(trials, (20.0, 26.0), strict=True):
        before.on_trial_add(None, trial)
        _report(before, trial, 1, value)
    after = _scheduler(tmp_path / "rungs.json")
    after.on_trial_add(None, trials[0])
    assert _report(after, trials[0], 1, 20.0) == TrialScheduler.CONTINUE
    assert after.rungs == before.rungs


def test_no_trial_is_stopped_for_having_spent_its_budget(tmp_path: Path) -> None:
    scheduler = _scheduler(tmp_path / "rungs.json")
    scheduler.on_trial_add(None, Trial("a"))
    assert [_report(scheduler, Trial("a"), epoch, 25.0) for epoch in range(1, 10)] == [TrialScheduler.CONTINUE] * 9
