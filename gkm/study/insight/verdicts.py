"""The record of a study in; which settings are better than which, and how far that can be trusted, out.

Arms against their reference, settings over their seeds, the winner against fresh seeds and against the first setting
tried. docs/statistics.md says how settings are compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gkm.study.design.objective import Objective
from gkm.study.insight.pairing import LEVEL, Comparison, Runs, pair, scale_of, scene_note, tell
from gkm.study.insight.statistics import Interval, Verdict, holm, mean_interval
from gkm.study.record.results import SettingRow, StudyResults

__all__ = [
    "ArmVerdict",
    "Comparison",
    "Confirmation",
    "ConfirmedSetting",
    "SettingMean",
    "against_baseline",
    "arm_verdicts",
    "confirmation",
    "scale_of",
    "scene_note",
    "setting_name",
    "setting_rows",
]


@dataclass(frozen=True)
class ArmVerdict:
    """An arm of an ablation: its score, and how it compares with the reference."""

    name: str
    number: int
    """Of its setting."""
    interval: Interval | None
    """Mean of the first objective over its finished seeds; None where none finished."""
    seeds: int
    """Finished ones."""
    trials: int
    """All of its trials."""
    comparison: Comparison | None = None
    """None for the reference itself."""

    @property
    def kind(self) -> Verdict | Literal["reference"]:
        return "reference" if self.comparison is None else self.comparison.kind

    @property
    def sentence(self) -> str:
        """To be read after the arm's name, without a full stop."""
        return "the reference" if self.comparison is None else self.comparison.sentence


@dataclass(frozen=True)
class SettingMean:
    """A setting that was trained with several seeds: means of the first objective, None where no seed finished."""

    setting: SettingRow
    searched: Interval | None
    """Over the search's seeds."""
    seeds: int
    """Finished ones."""
    fresh: Interval | None
    """Over the fresh seeds of the confirmation."""
    fresh_seeds: int

    @property
    def name(self) -> str:
        return setting_name(self.setting)


@dataclass(frozen=True)
class ConfirmedSetting:
    """One of the best settings, trained again with fresh seeds."""

    setting: SettingRow
    first: float
    """Its mean score in the search, by which it was chosen."""
    fresh: Interval
    """Its score over the fresh seeds."""
    seeds: int
    flattery: float
    """By how much the first score was better than the fresh ones, in the objective's unit; negative: worse."""

    @property
    def name(self) -> str:
        return setting_name(self.setting)


@dataclass(frozen=True)
class Confirmation:
    """What fresh seeds made of the search's choice."""

    settings: tuple[ConfirmedSetting, ...]
    """Best by fresh seeds first."""
    first_winner: int
    """The setting that the search alone would have chosen."""
    winner: int
    objective: Objective

    @property
    def changed(self) -> bool:
        """Whether fresh seeds chose another setting."""
        return self.winner != self.first_winner

    @property
    def best(self) -> ConfirmedSetting:
        return self.settings[0]

    @property
    def sentence(self) -> str:
        """What came out, to be read by itself."""
        best, text = self.best, self.objective.text
        many = "one fresh seed" if best.seeds == 1 else f"the mean of {best.seeds} fresh seeds"
        moved = "flattered it by" if best.flattery > 0 else "was too low by"
        told = (
            f"Confirmed: {best.name} scores {text(best.fresh.mean)}, {many}; "
            f"its first score, {text(best.first)}, {moved} {text(abs(best.flattery))}."
        )
        if self.changed:
            return (
                f"{told} Fresh seeds changed the choice: the search alone would have taken setting {self.first_winner}."
            )
        return told


def setting_name(setting: SettingRow) -> str:
    """How to speak of a setting."""
    return setting.lead.arm or f"setting {setting.number}"


def arm_verdicts(results: StudyResults) -> list[ArmVerdict]:
    """Every arm of an ablation, the reference first; none for other studies.

    Arms are paired with the reference by photograph over all seeds that finished. Their p-values allow for the number
    of arms that have one (Holm).
    """
    if results.kind != "arms" or results.reference is None:
        return []
    arms = {setting_name(setting): setting for setting in results.settings}
    reference = arms.pop(results.reference, None)
    against = Runs(results.reference, () if reference is None else reference.trials)
    pairings = {name: pair(results, Runs(name, setting.trials), against) for name, setting in arms.items()}
    p_values = {
        name: pairing.difference.p_value
        for name, pairing in pairings.items()
        if pairing.difference is not None and pairing.difference.p_value is not None
    }
    several = len(p_values) > 1
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True)) if several else {}
    rows = [] if reference is None else [_arm(results.reference, reference, None)]
    for name, setting in arms.items():
        rows.append(_arm(name, setting, tell(results, pairings[name], adjusted.get(name), len(p_values))))
    return rows


def setting_rows(results: StudyResults) -> list[SettingMean]:
    """The settings that were trained with several seeds, best first."""
    rows = []
    for setting in results.ranked:
        if len(setting.trials) > 1:
            searched, fresh = _finite(setting.scores("search")), _finite(setting.scores("confirm"))
            rows.append(SettingMean(setting, _mean(searched), len(searched), _mean(fresh), len(fresh)))
    return rows


def confirmation(results: StudyResults) -> Confirmation | None:
    """How the best settings did with fresh seeds; None where none were trained to the end with any."""
    objective, ranked = results.objectives[0], results.ranked
    sign = 1 if objective.mode == "max" else -1
    found = []
    for setting in ranked:
        scores, first = _finite(setting.scores("confirm")), _first_score(setting)
        fresh = _mean(scores)
        if fresh is not None and first is not None:
            found.append(ConfirmedSetting(setting, first, fresh, len(scores), sign * (first - fresh.mean)))
    if not found:
        return None
    ordered = sorted(found, key=lambda one: (-sign * one.fresh.mean, one.setting.number))
    return Confirmation(tuple(ordered), ranked[0].number, ordered[0].setting.number, objective)


def against_baseline(results: StudyResults) -> Comparison | None:
    """The winner against the first setting tried, number 0; None where it is that one, and for ablations.

    Runs by which a setting was chosen flatter it, so those with fresh seeds stand for it where there are any.
    """
    winner = results.winner
    baseline = next((setting for setting in results.settings if setting.number == 0), None)
    if results.kind == "arms" or winner is None or baseline is None or winner.number == baseline.number:
        return None
    runs = _unselected(winner)
    told = tell(results, pair(results, runs, _unselected(baseline)))
    by_fresh = any(trial.phase == "confirm" for trial in runs.trials)
    how = "by its fresh seeds" if by_fresh else "by the runs it was chosen by, which flatters it"
    return Comparison(**{**vars(told), "notes": (f"{runs.name} is judged {how}", *told.notes)})


def _unselected(setting: SettingRow) -> Runs:
    """The runs of a setting that had no part in choosing it; the others where there are none."""
    fresh = tuple(trial for trial in setting.trials if trial.phase == "confirm" and trial.status == "finished")
    return Runs(setting_name(setting), fresh or tuple(t for t in setting.trials if t.phase == "search"))


def _first_score(setting: SettingRow) -> float | None:
    """Mean score over the search's seeds, also of trials that were stopped."""
    scored = [t for t in setting.trials if t.phase == "search" and t.best_epoch is not None and t.status != "failed"]
    interval = _mean(_finite([trial.score for trial in scored]))
    return None if interval is None else interval.mean


def _arm(name: str, setting: SettingRow, comparison: Comparison | None) -> ArmVerdict:
    scores = _finite(setting.scores())
    return ArmVerdict(name, setting.number, _mean(scores), len(scores), len(setting.trials), comparison)


def _mean(scores: Sequence[float]) -> Interval | None:
    return mean_interval([[score] for score in scores], LEVEL) if scores else None


def _finite(scores: Sequence[float]) -> list[float]:
    return [score for score in scores if math.isfinite(score)]
