"""Two names of studies, arms or trials in; which of the two is better, paired photograph by photograph, out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gkm.errors import InputError
from gkm.study.insight.pairing import Comparison, Runs, pair, scene_note, tell
from gkm.study.insight.verdicts import setting_name
from gkm.study.record.results import SettingRow, StudyResults


@dataclass(frozen=True)
class Side:
    """One of the two: a setting of a study, and the runs that stand for it."""

    results: StudyResults
    runs: Runs
    note: str | None = None
    """What to bear in mind of these runs."""


def find_side(text: str, open_results: Callable[[str], StudyResults]) -> Side:
    """What `text` names: STUDY (its winner), STUDY:ARM, or STUDY:NUMBER (that trial with all its seeds).

    Of a winner that was confirmed the fresh seeds stand for it: its first scores were chosen for being high.

    Raises InputError where there is no such arm or trial.
    """
    study, _, which = text.partition(":")
    results = open_results(study)
    if which:
        return Side(results, Runs(text, _setting(results, which).trials))
    winner = results.winner
    if winner is None:
        raise InputError(f"study {study}: has no validated trial to compare")
    fresh = tuple(trial for trial in winner.trials if trial.phase == "confirm" and trial.status == "finished")
    name = f"{study} ({setting_name(winner)})"
    how = "its fresh seeds" if fresh else "the runs it was chosen by, which flatters it"
    return Side(results, Runs(name, fresh or winner.trials), f"{name} is judged by {how}")


def compare(one: Side, other: Side, adjusted_p: float | None = None, comparisons: int = 1) -> Comparison:
    """The difference between the two, first minus second; see `tell` for where it is one of several.

    Raises InputError where their data sets, photographs or objectives differ, so that it would mean nothing.
    """
    _refuse(one, other)
    told = tell(one.results, pair(one.results, one.runs, other.runs), adjusted_p, comparisons)
    notes = (one.note, other.note, *told.notes, scene_note(one.results))
    return replace(told, notes=tuple(dict.fromkeys(note for note in notes if note)))


def _setting(results: StudyResults, which: str) -> SettingRow:
    arms = {str(setting.lead.arm): setting for setting in results.settings if setting.lead.arm}
    if which in arms:
        return arms[which]
    for setting in results.settings:
        if which in (str(trial.number) for trial in setting.trials):
            return setting
    trials = f"there are trials 0 to {len(results.trials) - 1}" if results.trials else "there is no trial yet"
    there = f"the arms are {', '.join(arms)}" if arms else trials
    raise InputError(f"study {results.name}: has no arm or trial {which}; {there}")


def _refuse(one: Side, other: Side) -> None:
    names, (a, b) = f"{one.runs.name} and {other.runs.name}", (one.results, other.results)
    if a.record_id == b.record_id and one.runs.trials == other.runs.trials:
        raise InputError(f"{names}: are the same runs; name two settings")
    for what, first, second in (
        ("data set", a.data_fingerprint, b.data_fingerprint),
        ("objective", a.metric, b.metric),
    ):
        if first != second:
            raise InputError(f"{names}: cannot be compared, since their {what} differs ({first} and {second})")
    if a.photographs != b.photographs:
        raise InputError(f"{names}: cannot be compared, since they were validated on different photographs")
