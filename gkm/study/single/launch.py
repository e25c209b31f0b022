"""One trial outside a study: settings and data in, a tracked result out; in this process or on Ray Train workers.

The trial keeps everything in its store; the tracking store is written by this process alone, from what the trial
reports (here) or keeps (on workers).
"""

from __future__ import annotations

import errno
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from types import FrameType
from typing import TYPE_CHECKING, Any

from gkm import storage
from gkm.config import TrialConfig
from gkm.data.dataset.dataset import Dataset, open_dataset
from gkm.data.photos import TRIAL_SPLITS
from gkm.data.reading.cache import NodeCache
from gkm.errors import InputError
from gkm.study.single.claim import claimed
from gkm.study.single.following import Follower, Unwatched, Watcher
from gkm.study.single.repeating import DATA, LOCATION, REPEATS
from gkm.tracking import Status, Tracking, TrialRecord, TrialRun, environment_tags
from gkm.training.context import LocalContext
from gkm.training.loop import TrainingDivergedError
from gkm.training.store import open_store, read_history
from gkm.trial import run_trial

if TYPE_CHECKING:
    from gkm.study.execution.workers import WorkerGroup

POLL_SECONDS, REMOTE_POLL_SECONDS = 1.0, 5.0
"""How often the store is looked at while workers train."""
TERMINATED = 128 + signal.SIGTERM
"""Exit status after SIGTERM."""
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

    @property
    def name(self) -> str:
        """The same for the same settings and data: a trial launched again resumes, or is found finished."""
        name = f"trial-{self.config.fingerprint()}-{self.dataset.fingerprint}"
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
        self.dataset.require(*TRIAL_SPLITS, inputs=self.config.model.inputs)
        self.dataset.refuse_crops(self.config.data.crop_pixels)

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
        return self.tracking.start_trial(
            self.name, study_run_id=None, number=None, config=self.config, searched={}, tags=tags
        )


def train(
    launch: Launch, group: WorkerGroup | None = None, watcher: Watcher | None = None, ray_address: str = "local"
) -> str:
    """Run the trial in this process, or on `group` in a Ray session at `ray_address`; returns its run id.

    Raises InputError where something cannot be used, where another process trains the same, or where training diverges.
    After Ctrl-C or SIGTERM the run is marked as interrupted, and KeyboardInterrupt or SystemExit raised; the next call
    goes on.
    """
    watcher = watcher or Unwatched()
    launch.check(group)
    launch.tracking.prepare()
    with claimed(launch.place, launch.name), _heeding_sigterm():
        run = launch.start()
        follower = Follower(run, watcher)
        try:
            if group is None:
                _train_here(launch, follower, watcher)
            else:
                _train_on_workers(launch, group, follower, watcher, ray_address)
            follower.keep_artifacts(launch.place)
        except (KeyboardInterrupt, SystemExit):
            _close(run, "interrupted")
            raise
        except Exception as error:
            reason = _reason(launch, error)
            _close(run, "failed", reason or f"{type(error).__name__}: {error}")
            if reason is None:
                raise
            raise InputError(f"{launch.name}: {reason}") from error
        run.finish("finished")
    return run.run_id


def _reason(launch: Launch, error: Exception) -> str | None:
    """What ended the trial, if it is something that a user can mend."""
    match error:
        case TrainingDivergedError() | InputError():
            return str(error)
        case OSError() if error.errno in _UNWRITABLE:
            place = error.filename or launch.place
            return f"{place}: cannot be written ({error.strerror}); make room or permission, and start it again"
    return None


def _train_here(launch: Launch, follower: Follower, watcher: Watcher) -> None:
    watcher.stage(f"training {launch.config.training.epochs} epochs in this process")
    context = LocalContext(open_store(launch.place), follower.hear)
    run_trial(launch.config, launch.dataset, context, cache=launch.cache)


def _train_on_workers(
    launch: Launch, group: WorkerGroup, follower: Follower, watcher: Watcher, ray_address: str
) -> None:
    """Train in a thread; this one reads the store meanwhile and stays free to be interrupted."""
    from ray.train import TrainingFailedError

    from gkm.study.execution.session import start_ray
    from gkm.study.execution.trial_process import last_line
    from gkm.study.execution.workers import fit_on_workers

    failures: list[BaseException] = []

    def fit() -> None:
        try:
            fit_on_workers(
                group,
                launch.config,
                launch.data,
                launch.place,
                launch.cache,
                name=launch.name,
                known_epoch=launch.config.training.epochs,
            )
        except BaseException as error:
            failures.append(error)

    watcher.stage("starting Ray")
    with start_ray(ray_address, group.workers + 1), _heeding_sigterm():  # Ray has put a handler of its own there
        watcher.stage(f"training {launch.config.training.epochs} epochs on {group.workers} Ray workers")
        fitting = threading.Thread(target=fit, name="gkm-fit", daemon=True)
        fitting.start()
        while fitting.is_alive():
            fitting.join(REMOTE_POLL_SECONDS if storage.is_remote(launch.place) else POLL_SECONDS)
            follower.catch_up(read_history(launch.place))
        follower.catch_up(read_history(launch.place))
    for error in failures:
        if isinstance(error, TrainingFailedError):
            raise InputError(
                f"training failed on the workers ({last_line(error)}); correct that and start it again"
            ) from None
        raise error


def _close(run: TrialRun, status: Status, reason: str | None = None) -> None:
    """Mark a run that did not reach its end; what ended it matters more than a tracking store that is away as well."""
    try:
        run.finish(status, reason)
    except Exception as error:
        logging.getLogger(__name__).warning("run %s stays marked as running: %s", run.run_id, error)


@contextmanager
def _heeding_sigterm() -> Iterator[None]:
    """SIGTERM, which cluster managers send, ends the block like Ctrl-C does."""

    def end(number: int, frame: FrameType | None) -> None:
        logging.getLogger("gkm").warning("stopped by SIGTERM; what was finished is kept, the same command goes on")
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: Any = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
