"""ASHA whose rungs survive a restart of the driver: results in, stop or go on out.

Ray restores a study's trials and its searcher but not its scheduler: with empty rungs a resumed study stops other
trials than an undisturbed one. Here every change of a rung is written to a small JSON file beside the study, and read
back when the scheduler is used again.
"""

from __future__ import annotations

import json
from typing import Any

from ray.tune.schedulers import ASHAScheduler

from gkm import storage


class ResumableASHA(ASHAScheduler):  # type: ignore[misc]
    """Asynchronous successive halving (Li et al., 2018) over the trials' own "epoch" counter; one bracket.

    A trial is never stopped by its budget, which the training loop keeps itself.
    """

    def __init__(
        self, state: str, *, metric: str, epochs: int, first_rung_epochs: int, reduction_factor: float
    ) -> None:
        super().__init__(
            time_attr="epoch",
            metric=metric,
            mode="max",
            max_t=epochs + 1,
            grace_period=first_rung_epochs,
            reduction_factor=reduction_factor,
            stop_last_trials=False,
        )
        self._state = state
        self._known: str | None = None
        self._stopped: set[str] = set()

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        if self._known is None:
            self._load()
        super().on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if trial.trial_id in self._stopped:
            # The driver died between this decision and its execution.
            return str(ResumableASHA.STOP)
        action: str = super().on_trial_result(tune_controller, trial, result)
        if action == ResumableASHA.STOP:
            self._stopped.add(trial.trial_id)
        self._store()
        return action

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        super().on_trial_complete(tune_controller, trial, result)
        self._store()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": None}

    @property
    def rungs(self) -> dict[str, dict[str, float]]:
        """Milestone in epochs -> trial id -> value recorded there."""
        return {f"{milestone:g}": dict(recorded) for milestone, recorded in self._brackets[0]._rungs}

    def _load(self) -> None:
        self._known = ""
        if not storage.exists(self._state):
            return
        stored = json.loads(storage.read_bytes(self._state))
        self._stopped.update(stored["stopped"])
        for milestone, recorded in self._brackets[0]._rungs:
            recorded.update(stored["rungs"].get(f"{milestone:g}", {}))

    def _store(self) -> None:
        text = json.dumps({"rungs": self.rungs, "stopped": sorted(self._stopped)}, indent=2)
        if text != self._known:
            storage.write_bytes(self._state, text.encode())
            self._known = text
