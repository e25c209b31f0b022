"""A conductor's decisions in, trials trained by Ray Tune out. The only code of a study that knows Ray.

Tune gets trials, places them on the cluster, carries their reports, and forgets: its own state lies in a temporary
folder and is never read again, and trials that have ended are taken out of its memory.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from gkm.study.decisions.conductor import Assignment, Conductor
from gkm.study.execution.interrupts import Interrupts
from gkm.study.execution.placement import slots
from gkm.study.execution.trial_process import Job, last_line, reported, to_text
from gkm.study.execution.trial_process import train as default_train
from gkm.training.course.leaving import LeaveRequest
from gkm.training.scratch import clean, scratch

GRACE_SECONDS = 20.0
"""How long running trials have to reach their next report when a study is stopped; Kubernetes kills after 30.

After `gkm.study.execution.trial_process.GRACE_SECONDS` of it they leave within their epoch, with a checkpoint."""
_SCRATCH = "gkm-tune-"


def execute(
    conductor: Conductor,
    job: Job,
    *,
    concurrent: int | None = None,
    interrupts: Interrupts | None = None,
    on_tick: Callable[[], None] = lambda: None,
    train: Callable[[dict[str, Any], Job], None] | None = None,
) -> None:
    """Train what `conductor` hands out in the Ray session at hand, until it hands out no more.

    `on_tick` is called some times a second. `train` takes the place of a trial's work, for measurements.

    Raises what went wrong with the record, and InputError where the cluster can never hold a trial.
    """
    most = slots(job.workers, concurrent)
    trainable = tune.with_resources(tune.with_parameters(train or default_train, job=job), job.workers.tune_resources())
    bridge = _Bridge(conductor, interrupts, on_tick, job.leave)
    clean(Path(tempfile.gettempdir()), _SCRATCH)
    with _quiet(), scratch(Path(tempfile.gettempdir()), _SCRATCH) as folder:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=_Searcher(bridge),
                scheduler=_Scheduler(bridge),
                num_samples=-1,
                max_concurrent_trials=most,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="study",
                storage_path=str(folder),
                verbose=0,
                stop=_Stopper(bridge),
                failure_config=tune.FailureConfig(max_failures=0),
                callbacks=[_Ticker(bridge), _Silence()],
            ),
        )
        try:
            tuner.fit()
        except Exception as error:
            if bridge.trouble is None:
                raise
            raise bridge.trouble from error
        finally:
            if job.leave is not None and bridge.stopping_since is not None:
                job.leave.withdraw()
    if bridge.trouble is not None:
        raise bridge.trouble


class _Bridge:
    """What Tune's parts of one study share; copies of it are the same one, since Tune copies and pickles its parts."""

    def __init__(
        self,
        conductor: Conductor,
        interrupts: Interrupts | None,
        on_tick: Callable[[], None],
        leave: LeaveRequest | None = None,
    ) -> None:
        self.conductor, self.interrupts, self.on_tick, self.leave = conductor, interrupts, on_tick, leave
        self.numbers: dict[str, int] = {}
        """Tune's trial id -> trial number."""
        self.started: set[str] = set()
        self.trouble: BaseException | None = None
        self.stopping_since: float | None = None
        self.controller: Any = None
        """Tune's, once it has a trial."""

    def __deepcopy__(self, memo: object) -> _Bridge:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (_nothing, ())

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Keeps what goes wrong from being lost inside Tune, and has everything end."""
        try:
            yield
        except Exception as error:
            self.trouble = self.trouble or error
            self.conductor.stop(str(error))

    @property
    def is_over(self) -> bool:
        """Whether all trials are to be ended now."""
        if self.conductor.stopping_reason is None:
            return False
        if self.stopping_since is None:
            self.stopping_since = time.monotonic()
            if self.leave is not None and self.trouble is None and self.started:
                # Not here: trials that do not hear of it in time are ended, and a storage may be slow to answer.
                threading.Thread(target=self.leave.post, name="gkm-leave", daemon=True).start()
        late = time.monotonic() - self.stopping_since > GRACE_SECONDS
        return self.trouble is not None or late or not self.started


def _nothing() -> None:
    return None


class _Searcher(Searcher):  # type: ignore[misc]
    def __init__(self, bridge: _Bridge) -> None:
        super().__init__(metric="epoch", mode="max")
        self._bridge = bridge

    def suggest(self, trial_id: str) -> Any:
        with self._bridge.guarded():
            assignment = self._bridge.conductor.next_trial()
            if isinstance(assignment, Assignment):
                self._bridge.numbers[trial_id] = assignment.number
                return {"assignment": to_text(assignment)}
            if assignment is not None:
                return None
        return Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass


class _Scheduler(FIFOScheduler):  # type: ignore[misc]
    def __init__(self, bridge: _Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._bridge.controller = tune_controller

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        number = self._bridge.numbers[trial.trial_id]
        conductor, goes_on = self._bridge.conductor, False
        with self._bridge.guarded():
            if note := result.get("note"):
                conductor.noted(number, str(note))
            if ending := result.get("ended"):
                conductor.failed(number, ending, str(result.get("reason", "")))
            elif "epoch" in result:
                goes_on = conductor.report(number, reported(result))
            else:
                goes_on = True
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._bridge.started.discard(trial.trial_id)
        with self._bridge.guarded():
            self._bridge.conductor.ended(self._bridge.numbers[trial.trial_id])

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._bridge.started.discard(trial.trial_id)
        with self._bridge.guarded():
            number = self._bridge.numbers[trial.trial_id]
            self._bridge.conductor.failed(number, "crashed", last_line(trial.error_file))


class _Ticker(tune.Callback):  # type: ignore[misc]
    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._bridge.started.add(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._bridge.started.discard(trial.trial_id)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._bridge.controller is not None:
            _forget_ended(self._bridge.controller)
        if iteration == 0 and self._bridge.interrupts is not None:
            self._bridge.interrupts.install()  # Tune has just put its own handler there
        with self._bridge.guarded():
            self._bridge.on_tick()  # a lost session is no Exception, and passes


class _Silence(TrialProgressCallback):  # type: ignore[misc]
    """In the place of what Tune adds otherwise: lines about each trial, put together, not printed, never forgotten."""

    def on_trial_result(self, *args: Any, **info: Any) -> None:
        pass

    def on_trial_error(self, *args: Any, **info: Any) -> None:
        pass

    def on_trial_complete(self, *args: Any, **info: Any) -> None:
        pass


def _forget_ended(controller: Any) -> None:
    """Takes trials that have ended, but the newest, out of Tune's memory, where each takes 40 to 100 KB.

    Their settings, their results, averages of every metric (twice) and the text of all that stay there to the end of a
    study, although the record has what became of them.
    """
    trials = controller.get_trials()
    ended = [trial for trial in trials if trial.is_finished() and trial not in controller._trial_to_actor]
    if len(ended) < 2:
        return
    forgotten = set(ended[:-1])
    trials[:] = [trial for trial in trials if trial not in forgotten]
    for name in ("_live_trials", "_stopped_trials", "_failed_trials", "_trials_to_cache"):
        getattr(controller, name).difference_update(forgotten)
    for trial in forgotten:
        controller._trial_metadata.pop(trial.trial_id, None)


class _Stopper(Stopper):  # type: ignore[misc]
    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._bridge.is_over


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Tune's own log of trial errors back: the conductor says what became of each."""
    names = ("ray.tune.execution.tune_controller", "ray.tune.execution.experiment_state", "ray.tune.tune")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
