"""The words for what became of a trial."""

from typing import get_args

from gkm.study.record.statuses import ENDED, IN_ORDER, SCORED, UNENDED, StudyStatus, TrialStatus
from gkm.tracking import Status


def test_runs_in_mlflow_have_the_words_of_the_record() -> None:
    assert set(get_args(Status)) == set(get_args(TrialStatus)) == set(IN_ORDER)
    assert set(get_args(StudyStatus)) <= set(IN_ORDER)


def test_every_trial_has_ended_or_has_not_or_its_study_was_interrupted() -> None:
    assert sorted((*ENDED, *UNENDED, "interrupted")) == sorted(IN_ORDER)
    assert set(SCORED) < set(ENDED)
