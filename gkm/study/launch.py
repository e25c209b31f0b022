"""One trial outside a study: settings and data in, a tracked result out; in this process or on Ray Train workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gkm import storage
from gkm.config import TrialConfig
from gkm.data.cache import NodeCache
from gkm.data.manifest import read_manifest
from gkm.errors import InputError
from gkm.tracking import Tracking, TrialRun, environment_tags
from gkm.training.context import LocalContext, RemoteContext
from gkm.training.loop import TrainingDivergedError
from gkm.trial import run_trial

if TYPE_CHECKING:
    from gkm.study.workers import WorkerGroup


@dataclass(frozen=True)
class Launch:
    """A trial to run by itself."""

    config: TrialConfig
    data: str
    folder: str
    """Where trials outside studies keep their checkpoints."""
    tracking: Tracking
    cache: NodeCache | str | None = None

    @property
    def name(self) -> str:
        """The same for the same settings and data: a trial launched again resumes, or is found finished."""
        return f"trial-{self.config.fingerprint()}-{read_manifest(self.data).fingerprint}"

    def start(self) -> TrialRun:
        """Open, or adopt, the trial's run."""
        tags = {**environment_tags(), "gkm.data": read_manifest(self.data).fingerprint}
        return self.tracking.start_trial(
            self.name, study_run_id=None, number=None, config=self.config, searched={}, tags=tags
        )


def train_here(launch: Launch, listener: Callable[[Mapping[str, float]], None] | None = None) -> str:
    """Run the trial in this process; returns its run id.

    Raises InputError where the data cannot be used or training diverges.
    """
    run = launch.start()
    place = storage.join(launch.folder, launch.name)
    context = RemoteContext(place, listener) if storage.is_remote(place) else LocalContext(Path(place), listener)
    try:
        run_trial(launch.config, launch.data, context, run, launch.cache)
    except (TrainingDivergedError, InputError) as error:
        run.finish("failed", str(error))
        raise InputError(f"{launch.name}: {error}") from None
    run.finish("finished")
    return run.run_id


def train_on_workers(launch: Launch, group: WorkerGroup) -> str:
    """Run the trial on several Ray Train workers, in the Ray session at hand; returns its run id.

    Raises InputError where the batch cannot be divided among the workers, or the workers fail for good.
    """
    from ray.train import TrainingFailedError

    from gkm.study.progress import last_line
    from gkm.study.workers import fit_on_workers

    group.check(launch.config)
    run = launch.start()
    try:
        fit_on_workers(group, launch.config, launch.data, run, launch.cache, name=launch.name, folder=launch.folder)
    except TrainingFailedError as error:
        reason = last_line(error)
        run.finish("failed", reason)
        raise InputError(
            f"{launch.name}: training failed on the workers ({reason}); mend that and start it again"
        ) from None
    run.finish("finished")
    return run.run_id
