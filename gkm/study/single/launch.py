"""One trial outside a study: settings and data in, a tracked result out; in this process or on Ray Train workers.

The trial keeps everything in its store; the tracking store is written by this process alone, from what the trial
reports (here) or keeps (on workers).
"""

from __future__ import annotations

import errno
import math
import threading
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import uuid4

from gkm import storage
from gkm.config import TrialConfig
from gkm.data.dataset.dataset import Dataset, open_dataset
from gkm.data.photos import TRIAL_SPLITS
from gkm.data.reading.cache import NodeCache
from gkm.errors import InputError
from gkm.evaluation import mean_scores
from gkm.study.single.claim import claimed, refuse_claimed
from gkm.study.single.following import Follower, Unwatched, Watcher
from gkm.study.single.initial import Initial
from gkm.study.single.repeating import DATA, LOCATION, REPEATS
from gkm.study.single.signals import StopSignals
from gkm.study.single.telling import close, finish, note, run_name
from gkm.tracking import NOTE, Tracking, TrackingAwayError, TrialRecord, TrialRun, environment_tags, training_inputs
from gkm.training.context import LocalContext, best_device
from gkm.training.course.arithmetic import refuse_precision
from gkm.training.course.divergence import TrainingDivergedError
from gkm.training.course.leaving import LeaveRequest, Left
from gkm.training.course.memory import BatchTooLargeError
from gkm.training.store import open_store, read_history, read_notes
from gkm.trial import run_trial, score_blurred

if TYPE_CHECKING:
    from gkm.study.execution.session import Raylet
    from gkm.study.execution.workers import WorkerGroup

POLL_SECONDS, REMOTE_POLL_SECONDS = 1.0, 5.0
"""How often the store is looked at while workers train."""
LEAVE_SECONDS = 20.0
"""How long workers have to leave with a checkpoint; Kubernetes kills the driver after 30."""
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


@dataclass(frozen=True)
class Launch:
    """A trial to run by itself."""

    config: TrialConfig
    data: str
    folder: str
    """Where trials outside studies are kept."""
    tracking: Tracking
    cache: NodeCache | str | None = None
    repeats: str | None = None
    """The run that this one repeats."""
    times: int = 1
    """Which training with these settings and data this is; see `repeat`."""
    initial: Initial | None = None
    """What it begins with; None: random weights."""
    profiled: bool = False
    """Whether some steps are profiled."""

    @property
    def name(self) -> str:
        """The same for the same settings, data and first weights: launched again, it resumes or is found finished."""
        name = f"trial-{self.config.fingerprint()}-{self.dataset.fingerprint}"
        name += "" if self.initial is None else f"-from-{self.initial.digest}"
        return name if self.times == 1 else f"{name}-repeat-{self.times}"

    @property
    def place(self) -> str:
        """Of the trial's store."""
        return storage.join(self.folder, self.name)

    @cached_property
    def dataset(self) -> Dataset:
        """The data set at `data`, opened once."""
        return open_dataset(self.data)

    def check(self, group: WorkerGroup | None) -> None:
        """Raises InputError where the trial cannot be trained; makes nothing."""
        if group is not None:
            group.check(self.config)
        else:
            refuse_precision(self.config, best_device())
        if self.initial is not None:
            self.initial.check(self.config.model)
        self.dataset.require(*TRIAL_SPLITS, inputs=self.config.model.inputs)
        self.dataset.refuse_crops(self.config.data.crop_pixels)

    def check_free(self) -> None:
        """Raises InputError where another process trains it now; that one may keep the tracking store locked."""
        refuse_claimed(self.place, self.name)

    @property
    def is_trained(self) -> bool:
        """Whether the last epoch is in the store."""
        history = read_history(self.place)
        return bool(history) and int(history[-1]["epoch"]) >= self.config.training.epochs

    def find_finished(self) -> TrialRecord | None:
        """The trial as it is on record, if it was trained to its end before."""
        found = self.tracking.find({"gkm.kind": "trial", "gkm.trial": self.name, "gkm.status": "finished"})
        return self.tracking.trial(found[0].info.run_id) if found else None

    def repeat(self, run_id: str) -> Launch:
        """The next training of the same, as a repetition of that run: the first one that is not finished yet."""
        launch = replace(self, repeats=run_id, times=2)
        while launch.find_finished() is not None:
            launch = replace(launch, times=launch.times + 1)
        return launch

    def start(self) -> TrialRun:
        """Open, or adopt, the trial's run."""
        tags = {**environment_tags(), DATA: self.dataset.fingerprint, LOCATION: self.data}
        if self.repeats is not None:
            tags[REPEATS] = self.repeats
        if self.initial is not None:
            tags |= self.initial.tags
        run = self.tracking.start_trial(
            self.name,
            study_run_id=None,
            number=None,
            config=self.config,
            searched={},
            tags={**tags, NOTE: note(self, "running")},
            run_name=run_name(self),
        )
        inputs = training_inputs(self.dataset.name, self.dataset.fingerprint, self.data)
        self.tracking.log_inputs(run.run_id, inputs)
        return run

    @cached_property
    def blurred(self) -> dict[str, float]:
        """Mean scores of the validation photographs as they are: what a training is measured against."""
        return mean_scores(score_blurred(self.dataset, self.cache))


def train(
    launch: Launch, group: WorkerGroup | None = None, watcher: Watcher | None = None, ray_address: str = "local"
) -> str:
    """Run the trial in this process, or on `group` in a Ray session at `ray_address`; returns its run id.

    Raises InputError where something cannot be used, where another process trains the same, or where training diverges.
    After Ctrl-C or SIGTERM training leaves with a checkpoint between two steps (the second time at once), the run is
    marked as interrupted, and KeyboardInterrupt or SystemExit raised; the next call goes on there.
    """
    watcher = watcher or Unwatched()
    launch.check(group)
    with claimed(launch.place, launch.name), StopSignals() as signals:
        launch.tracking.prepare()
        run = launch.start()
        follower = Follower(run, watcher)
        try:
            if group is None:
                _train_here(launch, follower, watcher, signals)
            else:
                _train_on_workers(launch, group, follower, watcher, ray_address, signals)
            follower.keep_artifacts(launch.place)
        except Left:
            close(launch, run, follower.history, "interrupted")
            signals.end()
            raise
        except (KeyboardInterrupt, SystemExit):
            close(launch, run, follower.history, "interrupted")
            raise
        except Exception as error:
            reason = _reason(launch, error)
            close(launch, run, follower.history, "failed", reason or f"{type(error).__name__}: {error}")
            if reason is None:
                raise
            raise InputError(f"{launch.name}: {reason}") from error
        finish(launch, run, follower.history)
        signals.end()  # one that came during the last step
    return run.run_id


def _reason(launch: Launch, error: Exception) -> str | None:
    """What ended the trial, if it is something that a user can mend."""
    match error:
        case TrackingAwayError():
            return f"{error}; all that was trained is kept: start it again when MLflow is back"
        case TrainingDivergedError() | BatchTooLargeError() | InputError():
            return str(error)
        case OSError() if error.errno in _UNWRITABLE:
            place = error.filename or launch.place
            return f"{place}: cannot be written ({error.strerror}); make room or permission, and start it again"
    return None


def _train_here(launch: Launch, follower: Follower, watcher: Watcher, signals: StopSignals) -> None:
    watcher.stage(f"training {launch.config.training.epochs} epochs in this process")
    context = LocalContext(open_store(launch.place, background=True), follower.hear, signals)
    init = None if launch.initial is None else launch.initial.keep(launch.place)
    try:
        run_trial(launch.config, launch.dataset, context, cache=launch.cache, init=init, profiled=launch.profiled)
    finally:
        signals.done()


def _train_on_workers(
    launch: Launch,
    group: WorkerGroup,
    follower: Follower,
    watcher: Watcher,
    ray_address: str,
    signals: StopSignals,
) -> None:
    """Train in a thread; this one reads the store meanwhile, and passes on that the workers are to leave."""
    from gkm.study.execution.session import Raylet, SessionLostError, start_ray
    from gkm.study.execution.workers import fit_on_workers

    failures: list[BaseException] = []
    init = None if launch.initial is None else launch.initial.keep(launch.place)
    leave = LeaveRequest(storage.join(launch.place, ".leave"), uuid4().hex)

    def fit() -> None:
        try:
            fit_on_workers(
                group,
                launch.config,
                launch.data,
                launch.place,
                launch.cache,
                name=launch.name,
                init=init,
                known_epoch=launch.config.training.epochs,
                leave=leave,
                profiled=launch.profiled,
            )
        except BaseException as error:
            failures.append(error)

    watcher.stage("starting Ray")
    try:
        with start_ray(ray_address, math.ceil(group.workers * group.cpus) + 1):
            signals.install()  # Ray has put handlers of its own there
            watcher.stage(f"training {launch.config.training.epochs} epochs on {group.workers} Ray workers")
            fitting = threading.Thread(target=fit, name="gkm-fit", daemon=True)
            fitting.start()
            _follow(launch, fitting, follower, signals, leave, Raylet())
    except SessionLostError as lost:
        raise InputError(f"{lost}; what was trained is kept: start it again") from None
    if signals.number is not None and not launch.is_trained:
        raise Left("the workers were asked to leave")
    for error in failures:
        raise _explained(error)


def _explained(error: BaseException) -> BaseException:
    """What ended the workers, in a sentence if it is an error of Ray's."""
    from ray.exceptions import RayError
    from ray.train import TrainingFailedError

    from gkm.study.execution.trial_process import last_line

    if isinstance(error, TrainingFailedError | RayError):
        return InputError(f"training failed on the workers ({last_line(error)}); correct that and start it again")
    return error


def _follow(
    launch: Launch,
    fitting: threading.Thread,
    follower: Follower,
    signals: StopSignals,
    leave: LeaveRequest,
    raylet: Raylet,
) -> None:
    """Read the store until the workers have ended, or did not leave in time after a signal.

    Raises SessionLostError where the Ray process that this one hangs on is gone.
    """
    every = REMOTE_POLL_SECONDS if storage.is_remote(launch.place) else POLL_SECONDS
    asked: float | None = None
    try:
        while fitting.is_alive() and (asked is None or time.monotonic() < asked + LEAVE_SECONDS):
            fitting.join(every)
            raylet.check()
            if signals() and asked is None:
                asked = time.monotonic()
                leave.post()
            follower.catch_up(read_history(launch.place), read_notes(launch.place))
        follower.catch_up(read_history(launch.place), read_notes(launch.place))
    finally:
        signals.done()
        if asked is not None:
            leave.withdraw()
