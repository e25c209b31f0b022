"""What a study tries: its record and design in; trials asked for, drawn, repeated, refused or confirmed out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from gkm.config import TrialConfig
from gkm.study.design.design import Design
from gkm.study.design.drawing import Drawing, suggest_given
from gkm.study.design.search import sampler_for
from gkm.study.design.space import SearchSpace
from gkm.study.record.record import Record
from gkm.study.record.results import Phase, SettingRow, TrialRow

if TYPE_CHECKING:
    from optuna.trial import Trial

Complexity = Callable[[TrialConfig], Mapping[str, float]]
"""Parameters and multiply-adds of a trial's network."""


class Proposals:
    """Puts on record what is to be tried."""

    def __init__(self, record: Record, design: Design, seed: int, complexity: Complexity | None) -> None:
        self.record, self.design = record, design
        self._seed, self._complexity = seed, complexity
        self._fresh: Trial | None = None
        self._is_prepared = False

    def next_number(self, may_search: bool) -> int | None:
        """The next trial that waits; or a new one of a search that may have more."""
        first = min(self.record.waiting, default=None)
        searching = isinstance(self.design, SearchSpace) and may_search
        if first is None and not searching:
            return None
        number = self.record.next_number if first is None else first
        self.record.optuna.sampler = sampler_for(self.design.sampler, self._seed, number)
        self._fresh = self.record.ask()
        return int(self._fresh.number)

    def prepare(self) -> None:
        """Put on record what is known beforehand: all arms with all seeds, or the first settings of a search."""
        if self._is_prepared:
            return
        self._prepare()
        self._is_prepared = True

    def _prepare(self) -> None:
        if isinstance(self.design, SearchSpace):
            first = [self.design.baseline] if self.design.baseline else []
            for values in [*first, *self.design.points_to_evaluate][len(self.record.numbers) :]:
                self.record.enqueue(dict(values))
            return
        there = {
            (self.record.attribute(number, "arm"), self.record.attribute(number, "seed")): number
            for number in self.record.numbers
        }
        groups: dict[str, int] = {}
        for (arm, _), number in sorted(there.items(), key=lambda item: item[1]):
            groups.setdefault(arm, number)
        for seed in self.design.training_seeds:
            for arm, values in self.design.settings.items():
                if (arm, seed) in there:
                    continue
                number = self.record.next_number
                groups.setdefault(arm, number)
                parameters = {"arm": arm} if self.design.kind == "arms" else dict(values)
                self.record.enqueue(parameters, arm=arm, seed=seed, group=groups[arm], settings=values)

    def draw(self, number: int) -> None:
        """Suggest a trial's parameters; those drawn before a crash are drawn as they were."""
        if self._fresh is not None and self._fresh.number == number:
            trial = self._fresh
        else:
            self.record.optuna.sampler = sampler_for(self.design.sampler, self._seed, number)
            trial = self.record.reopen(number)
        seed = self.record.attribute(number, "seed")
        if isinstance(self.design, SearchSpace):
            values = self.design.suggest(Drawing(trial, self.design.sampler, self._seed))
            if seed is None:
                seed = values.get("training.seed", self.design.training_seeds[0])
        else:
            values = dict(self.record.attribute(number, "settings", {}))
            suggest_given(trial, self.design, values)
        self.record.asked(number, values, int(seed))

    def replicate(self, number: int) -> None:
        """Have the settings of a search's new trial trained with the other seeds as well."""
        if not isinstance(self.design, SearchSpace):
            return
        row = self.record.row(number)
        if row.group != number or row.phase != "search" or len(self.design.training_seeds) == 1:
            return
        there = {
            self.record.attribute(n, "seed") for n in self.record.numbers if self.record.attribute(n, "group") == number
        }
        for seed in self.design.training_seeds[1:]:
            if seed not in there and "training.seed" not in self.design.parameters:
                self.record.enqueue(row.parameters, seed=seed, group=number)

    def refusal(self, row: TrialRow) -> str | None:
        """Why a constraint refuses a trial's network, which ends it; notes its complexity by the way."""
        if self._complexity is None:
            return None
        known = dict(row.complexity)
        if not known:
            known = dict(self._complexity(row.config))
            self.record.note(row.number, complexity=known)
        if not self.design.constraints:
            return None
        over = {limit.metric: known[limit.metric] / limit.at_most - 1 for limit in self.design.constraints}
        if isinstance(self.design, SearchSpace):
            self.record.constrain(row.number, over)
        broken = [limit for limit in self.design.constraints if over[limit.metric] > 0]
        if not broken:
            return None
        words = (f"{known[limit.metric]:,.0f} {limit.metric}, more than {limit.at_most:,.0f}" for limit in broken)
        reason = "; ".join(words)
        self.record.end(row.number, TrialState.PRUNED, reason, refused=True)
        return reason

    def confirm(self, most: int) -> list[int]:
        """Have the `most` best settings trained with fresh seeds; their numbers, none where that was done before."""
        results = self.record.results()
        best: list[SettingRow] = []
        for setting in results.ranked:
            if len(best) < most and all(setting.lead.parameters != other.lead.parameters for other in best):
                best.append(setting)  # a search may draw the same settings twice
        if len(best) < 2:
            return []
        first = max((*self.design.training_seeds, *(t.seed for t in results.trials if t.phase == "search"))) + 1
        phase: Phase = "confirm"
        asked: set[int] = set()
        for seed in range(first, first + self.design.confirm_seeds):
            for setting in best:
                if seed in (trial.seed for trial in setting.trials if trial.phase == phase):
                    continue
                self.record.enqueue(setting.lead.parameters, seed=seed, group=setting.number, phase=phase)
                asked.add(setting.number)
        return sorted(asked)
