"""A study's table of trials: what follows from it is worked out once."""

from collections.abc import Iterator

from gkm.config import TrialConfig
from gkm.study.record.results import StudyResults, TrialRow


class Counted(tuple[dict[str, float], ...]):
    """A history that counts how often it is gone through."""

    looks = 0

    def __iter__(self) -> Iterator[dict[str, float]]:
        type(self).looks += 1
        return super().__iter__()


def test_the_best_trial_is_searched_once_however_often_it_is_asked_for() -> None:
    """Pages ask for it for every trial: with 1,000 trials that was a million searches."""
    trials = tuple(
        TrialRow(
            number,
            "finished",
            TrialConfig(),
            history=Counted([{"epoch": 1.0, "val/psnr": 20.0 + number}]),
            group=number,
        )
        for number in range(5)
    )
    study = StudyResults("quick", trials)
    assert [study.best is trial for trial in study.trials for _ in range(10)].count(True) == 10
    assert study.best is trials[4]
    assert Counted.looks <= len(trials)
